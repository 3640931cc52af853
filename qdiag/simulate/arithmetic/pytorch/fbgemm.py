"""What the engine fbgemm computes otherwise than qnnpack: sums of products."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import along_channels, integers, pieces
from qdiag.simulate.arithmetic.kernel_pairs import Bytes, lost_in_pairs, subtract_lost
from qdiag.simulate.arithmetic.pytorch.products import WeightedSums
from qdiag.simulate.arithmetic.pytorch.rule import zero_point

_CHANNELS = 8
_FILTERS = 2
"""Depthwise convolutions of a multiple of so many channels have a kernel of their own, with up to so many filters."""


@dataclass(frozen=True, eq=False)
class FbgemmSums(WeightedSums):
    """The bias is added in float32: `t = f32(f32(acc) + f32(b / m_i))`, `q_y = round(f32(t m)) + z_y`.

    `m_i = f32(s_x s_w)`, `m = f32(m_i / s_y)`; with one scale for all weights
    `t = fma(b, f32(1 / m_i), f32(acc))`. A depthwise kernel adds two neighbouring products `q_x q_w`, integers as they
    are stored, in int16, where they saturate.
    """

    name: ClassVar[str] = "fbgemm_sums"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """What is no number, or infinite, becomes the lowest integer: a bias at a scale that float32 rounds to 0."""
        found = super().on_integers(op, args, kwargs)
        if (
            found is None
            or op.layer is None
            or bool((self.input_scale(op.layer) > torch.finfo(torch.float32).tiny).all())
        ):
            return found
        lowest = -zero_point(self.output) * float(self.output.scale)
        return torch.where(found.isfinite() | (found < 0.0), found, lowest)

    def total(self, op: LayerOp, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        found = super().total(op, x, args, kwargs)
        if self._has_pairs(op, args):
            subtract_lost(found, op, args, x, self._bytes)
        return found

    @property
    def may_lose_pairs(self) -> bool:
        """See `AddsPairs`: depthwise kernels add pairs on every processor."""
        return self.is_depthwise or self.adds_pairs

    def lost_in_pairs(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """See `AddsPairs`."""
        if op.weights is None or op.weights.integers is None or not self._has_pairs(op, args):
            return None
        return lost_in_pairs(op, args, kwargs, integers(args[0], self.source), self._bytes)

    @property
    def _bytes(self) -> Bytes:
        return Bytes(zero_point(self.source), float(self.source.quant_max - self.source.quant_min))

    def _has_pairs(self, op: LayerOp, args: tuple[Any, ...]) -> bool:
        return self.adds_pairs or (self.is_depthwise and _has_own_kernel(op, args))

    def with_bias(self, op: LayerOp, total: Tensor) -> Tensor:
        values = total.float()
        if op.layer is None or op.weights is None or op.weights.bias is None:
            return values
        bias, scale = op.weights.bias.float(), self.input_scale(op.layer)
        if scale.ndim:
            return values.add_(along_channels(bias / scale.to(bias.device), values, op))
        bias = bias.double() * float(1.0 / scale)  # exact in float64, so that the sum is rounded once
        for piece in pieces(values):
            piece.copy_(piece.double().add_(along_channels(bias, values, op)))
        return values


def _has_own_kernel(op: LayerOp, args: tuple[Any, ...]) -> bool:
    """Square kernels that keep the size of the image, or halve it."""
    assert op.weights is not None and op.weights.integers is not None and op.layer is not None
    weight = op.weights.integers.weight
    if operation_name(op.node) != "conv2d" or weight.ndim != 4 or op.layer.groups % _CHANNELS or len(args) < 5:
        return False
    sizes, stride, padding = list(weight.shape[2:]), list(args[3]), args[4]
    dilation = list(args[5]) if len(args) > 5 else [1, 1]
    if isinstance(padding, str) or sizes[0] != sizes[1] or weight.shape[0] // op.layer.groups > _FILTERS:
        return False
    return all(one in (1, 2) for one in stride) and list(padding) == [sizes[0] // 2] * 2 and dilation == [1, 1]
