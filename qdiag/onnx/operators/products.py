"""Linear layers and products of matrices."""

from collections.abc import Mapping

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.values import Value

aten = torch.ops.aten


def _linear(call: Call) -> Value:
    """x W^T + b; what a `Gemm` or `MatMul` with a constant matrix is read as."""
    return call.scope.call(aten.linear.default, call.x(0), call.x(1), call.optional(2))


def _gemm(call: Call) -> Value:
    """alpha A B + beta C."""
    scope, a, b = call.scope, call.x(0), call.x(1)
    if call.attribute("transA", 0):
        a = scope.call(aten.transpose.int, a, 0, 1)
    if call.attribute("transB", 0):
        b = scope.call(aten.transpose.int, b, 0, 1)
    product = scope.call(aten.matmul.default, a, b)
    alpha, beta = float(call.attribute("alpha", 1.0)), float(call.attribute("beta", 1.0))
    if alpha != 1.0:
        product = scope.call(aten.mul.Tensor, product, alpha)
    c = call.optional(2)
    if c is None:
        return product
    return scope.call(aten.add.Tensor, product, c if beta == 1.0 else scope.call(aten.mul.Tensor, c, beta))


def _matmul(call: Call) -> Value:
    return call.scope.call(aten.matmul.default, call.x(0), call.x(1))


def _einsum(call: Call) -> Value:
    equation = str(call.attribute("equation", "")).replace(" ", "")
    return call.scope.call(aten.einsum.default, equation, [call.x(i) for i in range(len(call.inputs))])


OPERATORS: Mapping[str, Operator] = {
    "qdiag.Linear": _linear,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Einsum": _einsum,
}
