"""What the engine fbgemm computes otherwise than qnnpack: sums of products."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import along_channels, integers, pieces
from qdiag.simulate.arithmetic.kernel_pairs import lost_sums
from qdiag.simulate.arithmetic.pytorch.products import WeightedSums
from qdiag.simulate.arithmetic.pytorch.rule import zero_point

_INT16 = float(1 << 15)
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
        found, lost = super().total(op, x, args, kwargs), self._lost(op, x, args)
        return found if lost is None else found - lost

    @property
    def may_lose_pairs(self) -> bool:
        """See `AddsPairs`: depthwise kernels add pairs on every processor."""
        return self.is_depthwise or self.adds_pairs

    def lost_in_pairs(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """See `AddsPairs`."""
        del kwargs
        is_known = self.may_lose_pairs and op.weights is not None and op.weights.integers is not None
        return self._lost(op, integers(args[0], self.source), args) if is_known else None

    def _lost(self, op: LayerOp, x: Tensor, args: tuple[Any, ...]) -> Tensor | None:
        if self.is_depthwise and _has_own_kernel(op, args):
            return self._lost_by_rows(op, x, args)
        if not self.adds_pairs:
            return None
        assert op.weights is not None and op.weights.integers is not None
        own, border = op.weights.integers.weight, zero_point(self.source)
        offset = self._stored_zero_point.to(own.device)
        shape = [-1 if axis == op.weights.integers.axis and offset.ndim else 1 for axis in range(own.ndim)]
        return lost_sums(op, args, x + border, border, own + offset.view(shape))

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

    @property
    def _stored_zero_point(self) -> Tensor:
        """Of the signed integers that torch's kernels take; those of a weight in uint8 lie 128 lower."""
        return self.weight.zero_point.cpu().float() - (128.0 if self.weight.quant_min >= 0 else 0.0)

    def _pairs(self, op: LayerOp) -> Tensor:
        """(C, K / 2, 2): weights as they are stored, row by row of the kernel."""
        assert op.weights is not None and op.weights.integers is not None
        own, weight = self._stored_zero_point, op.weights.integers.weight.flatten(1)
        weight = weight + (own.view(-1, 1) if own.ndim else own).to(weight.device)
        return functional.pad(weight, (0, weight.shape[1] % 2)).view(weight.shape[0], -1, 2)

    def _reach(self, pairs: Tensor) -> Tensor:
        """The largest sum of each pair."""
        largest = float(self.source.quant_max - self.source.quant_min)
        return largest * torch.maximum(pairs.clamp(min=0.0).sum(2), -pairs.clamp(max=0.0).sum(2))

    def _lost_by_rows(self, op: LayerOp, x: Tensor, args: tuple[Any, ...]) -> Tensor | None:
        """What int16 cuts off the sums of two neighbours, row by row of the kernel; None where it can cut nothing."""
        assert op.weights is not None and op.weights.integers is not None
        pairs = self._pairs(op)
        weight, reach = pairs.flatten(1), self._reach(pairs)
        if float(reach.max()) < _INT16:
            return None
        kernel, stride = op.weights.integers.weight.shape[2:], list(args[3])
        q = functional.pad(x, [size // 2 for size in reversed(kernel) for _ in (0, 1)]).add_(zero_point(self.source))
        q = q.repeat_interleave(weight.shape[0] // q.shape[1], 1)
        height, width = ((q.shape[2 + i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
        lost = torch.zeros(q.shape[0], q.shape[1], height, width, device=q.device)
        for at in range(pairs.shape[1]):
            channels = torch.nonzero(reach[:, at] >= _INT16).flatten()
            if not len(channels):
                continue
            total = torch.zeros(q.shape[0], len(channels), height, width, device=q.device)
            for tap in (2 * at, 2 * at + 1):
                if tap >= kernel[0] * kernel[1]:
                    continue
                row, column = tap // kernel[1], tap % kernel[1]
                seen = q[
                    :,
                    channels,
                    row : row + (height - 1) * stride[0] + 1 : stride[0],
                    column : column + (width - 1) * stride[1] + 1 : stride[1],
                ]
                total += seen * weight[channels, tap].view(1, -1, 1, 1)
            lost[:, channels] += total - total.clamp(-_INT16, _INT16 - 1.0)
        return lost


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
