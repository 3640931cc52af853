"""LayerNormalization, RMSNormalization and BatchNormalization: float kernels between integers."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule

_EPSILON_PLACES = {"batch_norm": 7, "_native_batch_norm_legit_no_training": 6}
_WIDE = 8
"""Values that one register holds."""
_LONG = 16
"""Values from which root mean squares are made in registers."""
BATCH_NORMS = tuple(_EPSILON_PLACES)
"""Operations with statistics of training."""


@dataclass(frozen=True, eq=False)
class LayerNormalization(Rule):
    """Over n values, in float32: `i = f32(1 / f32(sqrt(v + eps)))`, `y = fma(f32(f32(x - m) i), w, b)`.

    The mean is added up in float64. `v` is the sum of the squares of what is left of the mean, over n: with fused
    multiply-adds in one register of eight values, whose halves are added to each other, and then those that are left
    over, four of them as products and up to three by multiply-adds. Fewer than eight values are taken one by one, each
    with the mean so far, and `y = f32(f32(f32(x - m) / f32(sqrt(v + eps))) w) + b`.
    """

    name: ClassVar[str] = "layer_normalization"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if operation_name(op.node) != "layer_norm" or kwargs:
            return None
        given = dict(zip(("x", "shape", "weight", "bias", "epsilon"), args, strict=False))
        x: Tensor = given["x"]
        rows, epsilon = x.reshape(-1, math.prod(given["shape"])), float(given.get("epsilon", 1e-5))
        weight, bias = given.get("weight"), given.get("bias")
        weight = torch.ones_like(rows[0]) if weight is None else weight.flatten()
        bias = torch.zeros_like(rows[0]) if bias is None else bias.flatten()
        if rows.shape[1] < _WIDE:
            mean, variance = _one_by_one(rows)
            deviation = torch.sqrt((variance + epsilon).double()).float()
            found: Tensor = (rows - mean) / deviation * weight + bias
        else:
            left = rows - rows.double().mean(1, keepdim=True).float()
            deviation = torch.sqrt((_mean_square(left) + epsilon).double()).float()
            found = fused(left * (1.0 / deviation), weight, bias)
        return found.view(x.shape)


@dataclass(frozen=True, eq=False)
class RootMeanSquare(Rule):
    """Over n values, in float32, `v` being the sum of their squares over n: `i = f32(1 / f32(sqrt(v + eps)))`,
    `y = f32(f32(x i) w)`, with the squares added up as in `LayerNormalization`.

    Fewer than sixteen values are squared and added one by one, and `y = f32(f32(x / f32(sqrt(v + eps))) w)`.
    """

    name: ClassVar[str] = "rms_normalization"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if operation_name(op.node) != "rms_norm" or kwargs:
            return None
        given = dict(zip(("x", "shape", "weight", "epsilon"), args, strict=False))
        x, weight = given["x"], given.get("weight")
        rows, epsilon = x.reshape(-1, math.prod(given["shape"])), given.get("epsilon")
        epsilon = torch.finfo(torch.float32).eps if epsilon is None else float(epsilon)
        is_short = rows.shape[1] < _LONG
        mean = _squares_one_by_one(rows) if is_short else _mean_square(rows)
        root = torch.sqrt((mean + epsilon).double()).float()
        found: Tensor = rows / root if is_short else rows * (1.0 / root)
        return (found if weight is None else found * weight.flatten()).view(x.shape)


def fused(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """`a b + c` of float32, rounded once."""
    return a.double().mul(b.double()).add(c.double()).float()


def _mean_square(x: Tensor) -> Tensor:
    """Of each row, (rows, 1)."""
    count = x.shape[1]
    whole = count // _WIDE * _WIDE
    register = torch.zeros_like(x[:, :_WIDE])
    for at in range(0, whole, _WIDE):
        register = fused(x[:, at : at + _WIDE], x[:, at : at + _WIDE], register)
    while register.shape[1] > 1:
        register = register[:, : register.shape[1] // 2] + register[:, register.shape[1] // 2 :]
    total, products = register, whole + (count - whole) // 4 * 4
    for at in range(whole, count):
        one = x[:, at : at + 1]
        total = total + one * one if at < products else fused(one, one, total)
    return total / count


def _squares_one_by_one(x: Tensor) -> Tensor:
    """Mean of the squares of each row, (rows, 1)."""
    total = torch.zeros_like(x[:, :1])
    for place in range(x.shape[1]):
        value = x[:, place : place + 1]
        total = total + value * value
    return total / float(x.shape[1])


def _one_by_one(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each row, (rows, 1), by Welford's recurrence."""
    mean, total = torch.zeros_like(x[:, :1]), torch.zeros_like(x[:, :1])
    for place in range(x.shape[1]):
        value = x[:, place : place + 1]
        before = value - mean
        mean = mean + before / float(place + 1)
        total = total + before * (value - mean)
    return mean, total / float(x.shape[1])


@dataclass(frozen=True, eq=False)
class BatchNormalization(Rule):
    """`a = f32(f32(1 / f32(sqrt(v + eps))) g)`, `y = f32(f32(x a) + f32(b - f32(m a)))`: no fused multiply-add."""

    name: ClassVar[str] = "batch_normalization"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        place = _EPSILON_PLACES.get(operation_name(op.node))
        if place is None or kwargs or len(args) <= place or not all(isinstance(one, Tensor) for one in args[:5]):
            return None
        x, scale, shift, mean, variance = args[:5]
        # libraries differ in the last bit of a float32 root; that of float64, rounded, is right
        deviation = torch.sqrt((variance + args[place]).double()).float()
        slope = 1.0 / deviation * scale
        shape = [1, -1] + [1] * (x.ndim - 2)
        product: Tensor = x * slope.view(shape)
        return product.add_((shift - mean * slope).view(shape))
