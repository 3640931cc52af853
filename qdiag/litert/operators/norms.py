"""Values divided by what they and their neighbours amount to."""

from collections.abc import Mapping

from qdiag.litert.call import Call, Rule

_NORM_MIN = 1e-6
"""LiteRT divides by no smaller number."""


def _l2_normalization(call: Call) -> None:
    """Over the last axis of the file: x / max(|x|, 1e-6)."""
    form, rank = call.form, len(call.tensor(0).shape)
    if rank < 2:
        call.needs_fixed_batch()
    x = call.read(0, form)
    axis = call.writer.numbers([1 if form == "first" and rank == 4 else rank - 1])
    norm = call.step("ReduceL2", [x, axis], "norm", keepdims=1)
    least = call.step("Max", [norm, call.writer.number(_NORM_MIN)], "norm above 0")
    call.finished("Div", [x, least], form)


def _local_response(call: Call) -> None:
    """x / (bias + alpha s)^beta, s the sum of squares over `radius` channels on either side; ONNX has alpha / size."""
    size = 2 * int(call.option("radius")) + 1
    alpha, beta, bias = (float(call.option(name)) for name in ("alpha", "beta", "bias"))
    x = call.read(0, "first")
    call.node("LRN", [x], call.put("first"), size=size, alpha=alpha * size, beta=beta, bias=bias)


OPERATORS: Mapping[str, Rule] = {
    "L2_NORMALIZATION": _l2_normalization,
    "LOCAL_RESPONSE_NORMALIZATION": _local_response,
}
