"""Matrix products of two activations."""

from collections.abc import Mapping

from qdiag.exporters.litert.build import Held
from qdiag.exporters.litert.call import Call, Write


def _matmul(call: Call) -> Held:
    first, second = (call.build.in_order(call.held(key), "plain") for key in ("self", _second(call)))
    if min(len(call.build.shape(one)) for one in (first, second)) < 2:
        raise call.error("of vectors is not written")
    if not call.is_float and call.build.kind == "int8":
        return call.closed("BATCH_MATMUL", [first.place, second.place], "plain", adjX=False, adjY=False)
    places = [call.build.in_float(one).place for one in (first, second)]  # no kernel takes uint8
    made = call.build.value(f"{call.name}/float", call.shape(), "plain", None)
    call.build.operator("BATCH_MATMUL", places, [made.place], adjX=False, adjY=False)
    return made


def _second(call: Call) -> str:
    return "other" if call.get("other") is not None else "mat2"


OPERATORS: Mapping[str, Write] = dict.fromkeys(("matmul", "bmm", "mm"), _matmul)
