"""Between integers and the numbers that they stand for: nothing is left of it in the float network."""

from collections.abc import Mapping

from qdiag.litert.call import Call, Rule


def _same(call: Call) -> None:
    form = call.form
    call.node("Identity", [call.read(0, form)], call.put(form))


def _quantize(call: Call) -> None:
    """Nothing but the quantizer of what it gives."""
    form = call.form
    if call.output().quantization is None:
        raise call.error("its output has no scale")
    call.writer.quantize(call.operator.outputs[0], form, call.read(0, form), call.writer.unique(call.name))


def _cast(call: Call) -> None:
    """Between types of floats; integers that stand for themselves do not go through a network."""
    if "f" not in (call.tensor(0).dtype.kind, call.output().dtype.kind):
        raise call.error(f"from {call.tensor(0).dtype} to {call.output().dtype}")
    _same(call)


OPERATORS: Mapping[str, Rule] = {"QUANTIZE": _quantize, "DEQUANTIZE": _same, "CAST": _cast}
