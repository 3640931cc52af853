"""Minimum and maximum: nothing is clipped, and one outlier sets the step for everyone (arXiv 1712.05877, section 3)."""

from torch import Tensor

from qdiag.calibrators.base import ActivationStatistics, RangeCalibrator
from qdiag.core.scheme import TensorScheme


class MinMax(RangeCalibrator):
    """The whole range."""

    def activation_range(self, statistics: ActivationStatistics, scheme: TensorScheme) -> tuple[float, float]:
        """Smallest and largest value seen."""
        del scheme
        return statistics.range.min, statistics.range.max

    def weight_range(self, rows: Tensor, scheme: TensorScheme) -> tuple[Tensor, Tensor]:
        """Smallest and largest weight of each row."""
        del scheme
        return rows.amin(1), rows.amax(1)
