"""Operators that take and give integers: which float operator each is, and where its scales stand among its inputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_OWN = ("com.microsoft",)


@dataclass(frozen=True)
class IntegerForm:
    """One operator, by places among its inputs.

    Attributes:
        op: the float operator.
        operands: of integers; scale and zero point follow each.
        result: of the scale of what it gives; the zero point follows.
        bias: of int32 at the product of the scales of the first two operands.
        others: of what is no integer, by their places in the float operator.
        axis: of the channels of the second operand, where it has a scale for each.
    """

    op: str
    operands: tuple[int, ...]
    result: int
    bias: int | None = None
    others: Mapping[int, int] | None = None
    axis: int = 0


def is_packed(op: str, domain: str) -> bool:
    """It computes with integers, whether it is known here or not."""
    return (op.startswith("QLinear") and domain in ("", "ai.onnx", *_OWN)) or (op == "QGemm" and domain in _OWN)


def form_of(op: str, input_count: int, attributes: Mapping[str, Any]) -> IntegerForm | None:
    """Its form; None for an operator that is not known."""
    make = _FORMS.get(op)
    return make(input_count, attributes) if make is not None else None


def _conv(count: int, attributes: Mapping[str, Any]) -> IntegerForm:
    del attributes
    return IntegerForm("Conv", (0, 3), 6, bias=8 if count > 8 else None)


def _gemm(count: int, attributes: Mapping[str, Any]) -> IntegerForm:
    del count
    return IntegerForm("Gemm", (0, 3), 7, bias=6, axis=0 if attributes.get("transB", 0) else 1)


def _two(op: str, axis: int = 0) -> Callable[[int, Mapping[str, Any]], IntegerForm]:
    return lambda count, attributes: IntegerForm(op, (0, 3), 6, axis=axis)


def _one(op: str) -> Callable[[int, Mapping[str, Any]], IntegerForm]:
    return lambda count, attributes: IntegerForm(op, (0,), 3)


def _concat(count: int, attributes: Mapping[str, Any]) -> IntegerForm:
    del attributes
    return IntegerForm("Concat", tuple(range(2, count, 3)), 0)


def _where(count: int, attributes: Mapping[str, Any]) -> IntegerForm:
    del count, attributes
    return IntegerForm("Where", (1, 4), 7, others={0: 0})


_FORMS: Mapping[str, Callable[[int, Mapping[str, Any]], IntegerForm]] = {
    "QLinearConv": _conv,
    "QGemm": _gemm,
    "QLinearMatMul": _two("MatMul", 1),
    "QLinearAdd": _two("Add"),
    "QLinearMul": _two("Mul"),
    "QLinearSigmoid": _one("Sigmoid"),
    "QLinearLeakyRelu": _one("LeakyRelu"),
    "QLinearSoftmax": _one("Softmax"),
    "QLinearAveragePool": _one("AveragePool"),
    "QLinearGlobalAveragePool": _one("GlobalAveragePool"),
    "QLinearReduceMean": _one("ReduceMean"),
    "QLinearConcat": _concat,
    "QLinearWhere": _where,
}
KNOWN = tuple(_FORMS)
"""Operators that are read."""
