"""What a calibrator is given, and what it gives back."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from qdiag.core.measures.ranges import TensorRange
from qdiag.core.scheme import TensorScheme


@dataclass(frozen=True, slots=True)
class ActivationStatistics:
    """What was seen of one activation: `range` with its histogram, and the moving average where it was asked for."""

    range: TensorRange
    moving_average: tuple[float, float] | None = None


class Calibrator(Protocol):
    """Statistics to a range [low, high] in real units."""

    def activation_range(self, statistics: ActivationStatistics, scheme: TensorScheme) -> tuple[float, float]:
        """The range of one activation tensor."""
        ...

    def weight_range(self, rows: Tensor, scheme: TensorScheme) -> tuple[Tensor, Tensor]:
        """The ranges of a weight: rows (R, K) share a scale each; returns low (R,) and high (R,)."""
        ...
