"""Linear layers and products of two activations."""

from collections.abc import Mapping

from qdiag.exporters.onnx.call import Call
from qdiag.exporters.onnx.operators.kind import Writer


def _linear(call: Call) -> str:
    """A Gemm: with more axes than two the input becomes a matrix before it, and what comes out has them again."""
    x, shape = call.tensor("input"), call.shape("input")
    if len(shape) == 2:
        return call.add("Gemm", x, *call.weight_and_bias(), transB=1)
    rows = call.moved(x, "Reshape", call.graph.integers([-1, shape[-1]]), suffix="/rows")
    out = call.closed(call.add("Gemm", rows, *call.weight_and_bias(), transB=1))
    # 0 keeps the size that the input has there
    if len(shape) == 1:
        back = call.graph.integers([call.shape()[-1]])
        return call.moved(out, "Reshape", back, suffix="/shape_again")
    leading = call.add("Shape", x, suffix="/leading", start=0, end=len(shape) - 1)
    last = call.graph.integers([call.shape()[-1]])
    target = call.add("Concat", leading, last, suffix="/shape", axis=0)
    return call.moved(out, "Reshape", target, suffix="/shape_again")


def _matmul(call: Call) -> str:
    keys = ("self", "mat2") if call.has("mat2") else ("self", "other") if call.has("other") else ("self", "vec")
    if not call.has(keys[1]):
        keys = ("self", "tensor")
    return call.add("MatMul", call.tensor(keys[0]), call.tensor(keys[1]))


def _addmm(call: Call) -> str:
    alpha, beta = float(call.get("alpha", 1)), float(call.get("beta", 1))
    inputs = (call.tensor("mat1"), call.tensor("mat2"), call.tensor("self"))
    return call.add("Gemm", *inputs, alpha=alpha, beta=beta)


def _einsum(call: Call) -> str:
    return call.add("Einsum", *(one.name for one in call.get("tensors")), equation=str(call.get("equation")))


OPERATORS: Mapping[str, Writer] = {
    "linear": _linear,
    **dict.fromkeys(("matmul", "bmm", "mm", "mv", "dot"), _matmul),
    "addmm": _addmm,
    "einsum": _einsum,
}
