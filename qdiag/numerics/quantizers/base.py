"""What a number format has to say of itself."""

import math
from collections.abc import Hashable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.layout import as_units, flat_chunks, from_units, per_unit

Clamp = tuple[float, float]


class Quantizer(Protocol):
    """One number format with its numbers: those of a tensor, of each channel, or of each group of weights."""

    @property
    def channel_axis(self) -> int | None:
        """Axis of the channels; None per tensor."""
        ...

    @property
    def group_size(self) -> int | None:
        """Weights per group, along the flattened rest of a channel; None otherwise."""
        ...

    @classmethod
    def from_range(
        cls, low: Tensor, high: Tensor, scheme: TensorScheme, *, channel_axis: int | None = None
    ) -> "Quantizer":
        """The quantizer that a scheme makes of a range.

        Args:
            low, high: shape () per tensor, (C,) per channel, (C, G) per group.

        Raises:
            CalibrationError: a bound is NaN or infinite.
        """
        ...

    @classmethod
    def from_weight(cls, weight: Tensor, scheme: TensorScheme, *, channel_axis: int) -> "Quantizer | None":
        """The quantizer that a format makes of the weights themselves; None where it takes a range of them.

        Args:
            weight: float32, any shape, output channels along `channel_axis`.

        Raises:
            CalibrationError: a weight is NaN or infinite.
        """
        del weight, scheme, channel_axis
        return None

    @property
    def key(self) -> Hashable:
        """Equal for quantizers that round every tensor alike."""
        ...

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        """The values that the backend would work with, per tensor; source and target may be the same tensor."""
        ...

    @property
    def ends(self) -> Clamp | None:
        """Lowest and highest value, between which a tensor may be clamped before it is rounded by `round_chunk`, which
        then gives what `fake_quantize_chunk` gives; None for formats that do not say so."""
        return None

    def round_chunk(self, source: Tensor, target: Tensor) -> None:
        """`fake_quantize_chunk` of values that lie within `ends`."""
        self.fake_quantize_chunk(source, target)

    def fake_quantize_units(self, units: Tensor) -> Tensor:
        """The same per channel or group, for a weight as `as_units` gives it; a new tensor."""
        ...

    @property
    def clip_bounds(self) -> tuple[float, float]:
        """Values beyond these are clipped rather than rounded; per tensor."""
        ...

    def record(self) -> QuantizerRecord:
        """Its plain numbers; those of the widest channel or group where there are several."""
        ...

    def scale_bytes(self, shape: Sequence[int]) -> int:
        """Bytes that are stored beside the rounded values: scales, zero points, exponents of blocks.

        Args:
            shape: of the tensor; formats that share a number among a block of values count blocks along its axes.
        """
        ...

    def to(self, device: torch.device) -> "Quantizer":
        """The same quantizer on another device."""
        ...

    @property
    def granularity(self) -> str:
        """`per_tensor`, `per_channel` or `per_group`."""
        if self.channel_axis is None:
            return "per_tensor"
        return "per_channel" if self.group_size is None else "per_group"

    def fake_quantize(self, x: Tensor) -> Tensor:
        """The values that the backend would work with; a new tensor, shape of x."""
        if self.channel_axis is None:
            out = torch.empty_like(x)
            for source, target in flat_chunks(x, out):
                self.fake_quantize_chunk(source, target)
            return out
        units = self.fake_quantize_units(as_units(x, self.channel_axis, self.group_size))
        return from_units(units, x, self.channel_axis, self.group_size).to(x.dtype)

    def read(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """The values as an operation reads them that adds up products along these axes; a new tensor, shape of x."""
        del axes
        return self.fake_quantize(x)

    def covers(self, clamp: Clamp) -> bool:
        """Clamping first would change nothing: the values that this can represent end at or inside the bounds.

        This is why Conv + ReLU needs one quantizer, not two (arXiv 1712.05877, section 2.4). Per tensor.
        """
        ends = torch.tensor([*clamp, -math.inf, math.inf])
        self.fake_quantize_chunk(ends, ends)
        return bool(ends[0] == ends[2] and ends[1] == ends[3])

    def per_unit(self, numbers: Tensor, ndim: int) -> Tensor:
        """Numbers of the tensor, its channels or groups, to broadcast with units of `ndim` axes."""
        return per_unit(numbers, ndim, self.channel_axis, self.group_size)
