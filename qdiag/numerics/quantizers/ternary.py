"""Ternary numbers: 0 for what lies near zero, and one magnitude with a sign for the rest.

Source: Ternary Weight Networks, arXiv 1605.04711: threshold 0.7 E|W| (equation 6), and E|W| over the weights beyond it
as their magnitude (equation 5).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.layout import channel_means
from qdiag.numerics.quantizers.base import Quantizer

_THRESHOLD = 0.7
"""Of E|W|, from which on a weight has a sign."""


@dataclass(frozen=True, eq=False)
class Ternary(Quantizer):
    """`alpha` above `threshold`, `-alpha` below `-threshold`, 0 from one to the other; NaN stays NaN.

    Attributes:
        alpha, threshold: float32, shape () per tensor, (C,) per channel; alpha is 1 where there is no scale.
        has_scale: False for -1, 0 and +1.
        channel_axis: axis of C; None per tensor.
    """

    alpha: Tensor
    threshold: Tensor
    has_scale: bool = True
    channel_axis: int | None = None

    @property
    def group_size(self) -> None:
        return None

    @classmethod
    def from_range(
        cls, low: Tensor, high: Tensor, scheme: TensorScheme, *, channel_axis: int | None = None
    ) -> "Ternary":
        """Refused: threshold and magnitude are means of the values, which a range does not tell.

        Raises:
            CalibrationError: always.
        """
        del low, high, scheme, channel_axis
        raise CalibrationError("ternary numbers are made of the values themselves, not of a range")

    @classmethod
    def from_weight(cls, weight: Tensor, scheme: TensorScheme, *, channel_axis: int) -> "Ternary":
        """Threshold and magnitude of the tensor, or of each output channel."""
        if not bool(torch.isfinite(weight).all()):
            raise CalibrationError("a weight is not finite")
        axis = channel_axis if scheme.granularity == "per_channel" else None
        magnitude = weight.abs()
        threshold = (_THRESHOLD * channel_means(magnitude, axis)).float()
        if scheme.scale_name == "none":
            return cls(torch.ones_like(threshold), threshold, False, axis)
        broadcast = threshold if axis is None else threshold.view([-1 if i == axis else 1 for i in range(weight.ndim)])
        beyond = magnitude > broadcast
        total = channel_means(torch.where(beyond, magnitude, 0.0), axis)
        share = channel_means(beyond.float(), axis)
        return cls(torch.where(share > 0.0, total / share, 0.0).float(), threshold, True, axis)

    @cached_property
    def key(self) -> Hashable:
        numbers = (tuple(x.flatten().tolist()) for x in (self.alpha, self.threshold))
        return ("ternary", *numbers, self.channel_axis)

    @cached_property
    def _plain(self) -> tuple[float, float]:
        return float(self.alpha), float(self.threshold)

    def fake_quantize_units(self, units: Tensor) -> Tensor:
        x = units.float()
        alpha, threshold = self.per_unit(self.alpha, x.ndim), self.per_unit(self.threshold, x.ndim)
        signs = (x > threshold).float() - (x < -threshold).float()
        return (signs * alpha).masked_fill_(x.isnan(), float("nan"))

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        alpha, threshold = self._plain
        inner = torch.where(source.abs() <= threshold, 0.0, source)
        outer = torch.where(source > threshold, alpha, inner)
        target.copy_(torch.where(source < -threshold, -alpha, outer))

    @property
    def clip_bounds(self) -> tuple[float, float]:
        """No range is held that a value could leave."""
        return -float("inf"), float("inf")

    def record(self) -> QuantizerRecord:
        """Of the channel with the largest magnitude."""
        widest = int(self.alpha.argmax())
        tiny = torch.finfo(torch.float32).tiny
        alpha, threshold = (max(float(x.flatten()[widest]), tiny) for x in (self.alpha, self.threshold))
        return QuantizerRecord(
            *(2, True, None, None, None, None, -alpha, alpha),
            type="ternary",
            levels=(-alpha, 0.0, alpha),
            edges=(-float("inf"), -threshold, threshold, float("inf")),
        )

    def scale_bytes(self, shape: Sequence[int]) -> int:
        """A float32 for each magnitude; the threshold is not needed any more."""
        del shape
        return 4 * self.alpha.numel() if self.has_scale else 0

    def to(self, device: torch.device) -> "Ternary":
        return replace(self, alpha=self.alpha.to(device), threshold=self.threshold.to(device))
