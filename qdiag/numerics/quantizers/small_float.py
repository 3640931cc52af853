"""Floating-point numbers of 4 to 16 bits, divided by a scale of the tensor, of each channel or group, or by none.

Sources: OFP8 v1.0 (e4m3, e5m2); MX v1.0, section 5.3 (e2m1, e2m3, e3m2); Micikevicius et al., arXiv 2209.05433,
section 3, for the scale: the largest |x| becomes the largest number of the format.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from qdiag.core.formats.float_format import FloatFormat
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.float_rounding import round_to_format
from qdiag.numerics.quantizers.base import Quantizer

_LISTED_BITS = 8
"""Formats of more bits have too many levels to list them; their record says how their steps grow."""


@dataclass(frozen=True, eq=False)
class SmallFloat(Quantizer):
    """Numbers of a floating-point format times a scale; the sign has a bit of its own, whatever the scheme says.

    Attributes:
        element: the format.
        scale: in real units, float32, shape () per tensor, (C,) per channel, (C, G) per group; 1 where there is none.
        saturates: values beyond the largest number become it; otherwise infinite, or NaN where there are no infinities.
        channel_axis: axis of C; None per tensor.
        group_size: weights per group, along the flattened rest of a channel; None otherwise.
        has_scale: False for a plain cast.
    """

    element: FloatFormat
    scale: Tensor
    saturates: bool = True
    channel_axis: int | None = None
    group_size: int | None = None
    has_scale: bool = True

    @classmethod
    def from_range(
        cls, low: Tensor, high: Tensor, scheme: TensorScheme, *, channel_axis: int | None = None
    ) -> "SmallFloat":
        """`scale = max|x| / largest number`; 1 for a range of width zero, and where the scheme has `scale = none`."""
        if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
            raise CalibrationError("the range is not finite")
        element = scheme.float_format
        scale, has_scale = torch.maximum(low.double().abs(), high.double().abs()) / element.largest, True
        if scheme.scale_name == "none":
            scale, has_scale = torch.ones_like(scale), False
        scale = torch.where(scale < torch.finfo(torch.float32).tiny, torch.ones_like(scale), scale).float()
        return cls(element, scale, scheme.saturate, channel_axis, scheme.group_size, has_scale)

    @cached_property
    def key(self) -> Hashable:
        scales = tuple(self.scale.flatten().tolist())
        return ("float", self.element.name, scales, self.saturates, self.channel_axis, self.group_size)

    @cached_property
    def _plain_scale(self) -> float:
        return float(self.scale)

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        scaled = torch.div(source.float(), self._plain_scale)
        target.copy_(round_to_format(scaled, self.element, saturates=self.saturates).mul_(self._plain_scale))

    def fake_quantize_units(self, units: Tensor) -> Tensor:
        scale = self.per_unit(self.scale, units.ndim)
        return round_to_format(units.float() / scale, self.element, saturates=self.saturates).mul_(scale)

    @property
    def clip_bounds(self) -> tuple[float, float]:
        bound = self.element.overflow * self._plain_scale
        return -bound, bound

    def record(self) -> QuantizerRecord:
        return float_record("float", self.element, float(self.scale.max()))

    def scale_bytes(self, shape: Sequence[int]) -> int:
        """A float32 for each scale; a plain cast has none."""
        del shape
        return 4 * self.scale.numel() if self.has_scale else 0

    def to(self, device: torch.device) -> "SmallFloat":
        return replace(self, scale=self.scale.to(device))


def float_record(kind: str, element: FloatFormat, scale: float) -> QuantizerRecord:
    """The record of a format whose numbers are multiplied by `scale`."""
    largest, bits = element.largest * scale, element.bits
    if bits > _LISTED_BITS:
        return QuantizerRecord(
            *(bits, True, None, None, None, None, -largest, largest),
            type=kind,
            mantissa_bits=element.mantissa_bits,
            smallest_step=element.smallest * scale,
        )
    above = [number * scale for number in element.magnitudes[1:]]
    borders = [(a + b) / 2.0 for a, b in zip((0.0, *above), (*above, 0.0), strict=True)][:-1]
    borders.append(element.overflow * scale)
    return QuantizerRecord(
        *(bits, True, None, None, None, None, -largest, largest),
        type=kind,
        levels=(*(-level for level in reversed(above)), 0.0, *above),
        edges=(*(-border for border in reversed(borders)), *borders),
    )
