"""The affine quantizer: integers at one distance from each other, by scale and zero point."""

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.layout import as_units, from_units
from qdiag.numerics.quantizers.base import Clamp, Quantizer
from qdiag.numerics.quantizers.fused import fused_rounding
from qdiag.numerics.waiting import waits

_MOST_STEPS = 1 << 16


@dataclass(frozen=True, eq=False)
class Affine(Quantizer):
    """Integers that stand for `(q - zero_point) * scale` (arXiv 1712.05877, eq. 1).

    Attributes:
        scale: step in real units, float32, shape () per tensor, (C,) per channel, (C, G) per group.
        zero_point: integer that stands for 0.0, held in float32, same shape.
        quant_min, quant_max: the integer range.
        channel_axis: axis of C; None per tensor.
        group_size: weights per group, along the flattened rest of a channel; None otherwise.
        is_symmetric: every zero point is 0 because the scheme says so.
        by_reciprocal: `quantize_per_tensor` of torch: `round_half_even(fma(x, 1 / scale, zero_point))`, of the zero
            point of an unsigned integer. Per tensor alone.

    Raises:
        CalibrationError: a scale is zero, negative or not finite.
    """

    scale: Tensor
    zero_point: Tensor
    quant_min: int
    quant_max: int
    channel_axis: int | None = None
    group_size: int | None = None
    is_symmetric: bool = False
    by_reciprocal: bool = False

    def __post_init__(self) -> None:
        if not bool(((self.scale > 0) & torch.isfinite(self.scale)).all()):
            raise CalibrationError("a scale is zero, negative or not finite")

    @classmethod
    def from_range(
        cls, low: Tensor, high: Tensor, scheme: TensorScheme, *, channel_axis: int | None = None
    ) -> "Affine":
        """Scale and zero point of a range (arXiv 1712.05877, section 3).

        The range is first widened to hold 0, so that zero padding and ReLU's zero are exact. Affine:
        `scale = (high - low) / (quant_max - quant_min)`, `zero_point = round(quant_min - low / scale)`. Symmetric:
        `zero_point = 0`, `scale = 2 max|x| / (quant_max - quant_min)`: max|x| / 127 for [-127, 127] (onnxruntime,
        TFLite), max|x| / 127.5 for [-128, 127] (torch). A range of width zero has scale 1.
        """
        if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
            raise CalibrationError("the range is not finite")
        # float64 keeps high - low finite for any pair of float32; backends store the scale in float32
        low, high = low.double().clamp(max=0.0), high.double().clamp(min=0.0)
        if scheme.symmetric:
            largest = torch.maximum(-low, high) if scheme.signed else high
            width = 2 * largest if scheme.signed else largest
            scale = width / (scheme.quant_max - scheme.quant_min)
        else:
            scale = (high - low) / (scheme.quant_max - scheme.quant_min)
        tiny = torch.finfo(torch.float32).tiny
        scale = torch.where(scale < tiny, torch.ones_like(scale), scale).float()
        if scheme.symmetric:
            zero_point = torch.zeros_like(scale)
        else:
            zero_point = torch.round(scheme.quant_min - low / scale.double())
            zero_point = zero_point.clamp(scheme.quant_min, scheme.quant_max).float()
        return cls(
            *(scale, zero_point, scheme.quant_min, scheme.quant_max, channel_axis, scheme.group_size, scheme.symmetric)
        )

    @cached_property
    def key(self) -> Hashable:
        low, high = self.quant_min - self.zero_point, self.quant_max - self.zero_point
        numbers = (tuple(x.flatten().tolist()) for x in (self.scale, low, high))
        return (
            "affine",
            *numbers,
            self.channel_axis,
            self.group_size,
            *([self.zero_point.item()] if self.by_reciprocal else []),
        )

    @cached_property
    def _plain(self) -> tuple[float, float, float]:
        """Scale, lowest and highest integer counted from the zero point (per tensor)."""
        zero_point = float(self.zero_point)
        return float(self.scale), self.quant_min - zero_point, self.quant_max - zero_point

    def quantize(self, x: Tensor) -> Tensor:
        """`clamp(round_half_even(x / scale) + zero_point, quant_min, quant_max)` as int32, shape of x.

        Source: arXiv 1712.05877, eq. 1; rounding as in IEEE 754 and onnxruntime.
        """
        rows = as_units(x, self.channel_axis, self.group_size)
        scale, zero_point = self.per_unit(self.scale, rows.ndim), self.per_unit(self.zero_point, rows.ndim)
        steps = self._steps_by_reciprocal(rows) if self.by_reciprocal else torch.round(rows / scale)
        q = (steps + zero_point).clamp(self.quant_min, self.quant_max).to(torch.int32)
        return from_units(q, x, self.channel_axis, self.group_size)

    def dequantize(self, q: Tensor) -> Tensor:
        """`(q - zero_point) * scale` in float32, shape of q."""
        rows = as_units(q.float(), self.channel_axis, self.group_size)
        scale, zero_point = self.per_unit(self.scale, rows.ndim), self.per_unit(self.zero_point, rows.ndim)
        return from_units((rows - zero_point) * scale, q, self.channel_axis, self.group_size)

    def fake_quantize_units(self, units: Tensor) -> Tensor:
        scale, zero_point = self.per_unit(self.scale, units.ndim), self.per_unit(self.zero_point, units.ndim)
        steps = self._steps_by_reciprocal(units) if self.by_reciprocal else (units / scale).round_()
        return steps.clamp_(self.quant_min - zero_point, self.quant_max - zero_point).mul_(scale)

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        """Four simple passes over a chunk that stays in the cache run ten times faster than torch's fused call."""
        scale, low, high = self._plain
        if waits(source) and (fused := fused_rounding()) is not None and not self.by_reciprocal:
            target.copy_(fused(source, scale=scale, low=low, high=high))
            return
        if self.by_reciprocal:
            target.copy_(self._steps_by_reciprocal(source)).clamp_(low, high).mul_(scale)
            return
        torch.div(source, scale, out=target)
        target.round_().clamp_(low, high).mul_(scale)

    @property
    def ends(self) -> Clamp | None:
        """Per tensor; None where the zero point is added before rounding, or float32 could not tell steps apart."""
        rounds_otherwise = type(self).fake_quantize_chunk is not Affine.fake_quantize_chunk
        if rounds_otherwise or self.channel_axis is not None or self.by_reciprocal:
            return None
        scale, low, high = self._plain
        return (low * scale, high * scale) if max(-low, high) <= _MOST_STEPS else None

    def round_chunk(self, source: Tensor, target: Tensor) -> None:
        """Clamping first to `low * scale` and `high * scale` is clamping the steps: division and rounding keep order,
        and both ends, rounded to float32, are less than half a step from a whole one."""
        if waits(source) or self.by_reciprocal:
            self.fake_quantize_chunk(source, target)
            return
        torch.div(source, self._plain[0], out=target)
        target.round_().mul_(self._plain[0])

    def _steps_by_reciprocal(self, x: Tensor) -> Tensor:
        """`q - zero_point`, not limited; a product of two float32 and an integer of 8 bits is exact in float64."""
        zero_point = float(self.zero_point) + (128.0 if self.quant_min < 0 else 0.0)
        factor = float(1.0 / self.scale.cpu().float())
        return x.double().mul_(factor).add_(zero_point).float().round_().sub_(zero_point)

    @property
    def clip_bounds(self) -> tuple[float, float]:
        scale, low, high = self._plain
        return (low - 0.5) * scale, (high + 0.5) * scale

    def record(self) -> QuantizerRecord:
        widest = int(self.scale.argmax())
        scale, zero_point = float(self.scale.flatten()[widest]), int(self.zero_point.flatten()[widest])
        low, high = self.quant_min - zero_point, self.quant_max - zero_point
        bits = (self.quant_max - self.quant_min).bit_length()
        return QuantizerRecord(
            *(bits, self.is_symmetric, scale, zero_point, self.quant_min, self.quant_max, low * scale, high * scale)
        )

    def scale_bytes(self, shape: Sequence[int]) -> int:
        """A float32 scale each, and an integer zero point of the same width as the values unless all are 0."""
        zero_point_bytes = 0 if self.is_symmetric else -(-self.record().bits // 8)
        return self.scale.numel() * (4 + zero_point_bytes)

    def to(self, device: torch.device) -> "Affine":
        if self.scale.device == device:
            return self
        moved = copy.copy(self)  # what was checked once is not checked again, which would make the processor wait
        object.__setattr__(moved, "scale", self.scale.to(device))
        object.__setattr__(moved, "zero_point", self.zero_point.to(device))
        return moved
