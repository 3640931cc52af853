"""What a calibrator is given, and what it gives back."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from qdiag.core.measures.ranges import TensorRange
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.layout import grouped
from qdiag.numerics.quantizers import QUANTIZERS
from qdiag.numerics.quantizers.base import Quantizer


@dataclass(frozen=True, slots=True)
class ActivationStatistics:
    """What was seen of one activation: `range` with its histogram, and the moving average where it was asked for."""

    range: TensorRange
    moving_average: tuple[float, float] | None = None


class Calibrator(Protocol):
    """Statistics to a quantizer of the scheme's number format."""

    def activation(self, statistics: ActivationStatistics, scheme: TensorScheme) -> Quantizer:
        """The quantizer of one activation tensor.

        Raises:
            CalibrationError: the range is not finite.
        """
        ...

    def weight(self, weight: Tensor, scheme: TensorScheme, channel_axis: int) -> Quantizer:
        """The quantizer of one weight; per channel along `channel_axis`, per group along the rest of a channel.

        Raises:
            CalibrationError: a weight is not finite.
        """
        ...


class RangeCalibrator(ABC):
    """A calibrator that chooses a range [low, high] in real units and leaves the rest to the number format."""

    @abstractmethod
    def activation_range(self, statistics: ActivationStatistics, scheme: TensorScheme) -> tuple[float, float]:
        """The range of one activation tensor."""

    @abstractmethod
    def weight_range(self, rows: Tensor, scheme: TensorScheme) -> tuple[Tensor, Tensor]:
        """The ranges of a weight: rows (R, K) share a quantizer each; returns low (R,) and high (R,)."""

    def activation(self, statistics: ActivationStatistics, scheme: TensorScheme) -> Quantizer:
        """See `Calibrator`."""
        low, high = scheme.range or self.activation_range(statistics, scheme)
        return QUANTIZERS[scheme.type].from_range(torch.tensor(low), torch.tensor(high), scheme)

    def weight(self, weight: Tensor, scheme: TensorScheme, channel_axis: int) -> Quantizer:
        """See `Calibrator`."""
        weight = weight.detach().float()
        made = QUANTIZERS[scheme.type].from_weight(weight, scheme, channel_axis=channel_axis)
        if made is not None:
            return made
        size, axis, missing = scheme.group_size, None if scheme.granularity == "per_tensor" else channel_axis, 0
        if axis is None:
            units, shape = weight.reshape(1, -1), torch.Size()
        elif size is not None:
            groups = grouped(weight, axis, size)
            units, shape = groups.reshape(-1, size), groups.shape[:2]
            missing = groups[0].numel() - weight.select(axis, 0).numel()
        else:
            units, shape = weight.movedim(axis, 0).reshape(weight.shape[axis], -1), weight.shape[axis : axis + 1]
        if scheme.channel_ranges is not None:
            low, high = _of_channels(scheme.channel_ranges, units)
        elif scheme.range is not None:
            low, high = (units.new_full((len(units),), end) for end in scheme.range)
        else:
            low, high = self.weight_range(units, scheme)
        if missing and scheme.range is None:  # the last group of a channel has fewer weights, and zeros after them
            low, high = low.view(shape).clone(), high.view(shape).clone()
            low[:, -1], high[:, -1] = self.weight_range(groups[:, -1, :-missing], scheme)
        # few numbers, which are read again and again: on a GPU each look would make the processor wait
        low, high = torch.stack([low.view(shape), high.view(shape)]).cpu()
        return QUANTIZERS[scheme.type].from_range(low, high, scheme, channel_axis=axis)


def _of_channels(ranges: tuple[tuple[float, float], ...], units: Tensor) -> tuple[Tensor, Tensor]:
    if len(ranges) != len(units):
        raise CalibrationError(f"channel_ranges has {len(ranges)} ranges, the weight {len(units)} channels")
    low, high = units.new_tensor(ranges).unbind(1)
    return low, high
