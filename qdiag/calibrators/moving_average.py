"""Exponential moving average of each image's minimum and maximum (arXiv 1712.05877, section 3.1).

The average moves image by image rather than batch by batch, so that the batch size does not change the result.
"""

from torch import Tensor

from qdiag.calibrators.base import ActivationStatistics, RangeCalibrator
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError


class MovingAverage(RangeCalibrator):
    """A range in which rare extremes fade."""

    def activation_range(self, statistics: ActivationStatistics, scheme: TensorScheme) -> tuple[float, float]:
        """The averages at the end of the calibration data."""
        del scheme
        if statistics.moving_average is None:
            raise CalibrationError("no moving average was kept")
        return statistics.moving_average

    def weight_range(self, rows: Tensor, scheme: TensorScheme) -> tuple[Tensor, Tensor]:
        """Weights do not move."""
        del rows, scheme
        raise CalibrationError("weights do not move: moving_average is for activations")
