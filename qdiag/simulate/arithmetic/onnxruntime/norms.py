"""LayerNormalization and BatchNormalization, float kernels between DequantizeLinear and QuantizeLinear."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule

_EPSILON_PLACES = {"batch_norm": 7, "_native_batch_norm_legit_no_training": 6}
BATCH_NORMS = tuple(_EPSILON_PLACES)
"""Operations with statistics of training."""


@dataclass(frozen=True, eq=False)
class LayerNormalization(Rule):
    """Means and variances of float32 values that are added up in float64."""

    name: ClassVar[str] = "layer_normalization"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if operation_name(op.node) != "layer_norm":
            return None
        exact = [one.double() if isinstance(one, Tensor) else one for one in args]
        found: Tensor = op.node.target(*exact, **kwargs)  # type: ignore[operator]
        return found.to(args[0].dtype)


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
