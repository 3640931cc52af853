"""From statistics to quantizers, by the names that schemes have for the ways."""

from collections.abc import Mapping

from qdiag.calibrators.base import Calibrator
from qdiag.calibrators.entropy import Entropy
from qdiag.calibrators.minmax import MinMax
from qdiag.calibrators.moving_average import MovingAverage
from qdiag.calibrators.mse import MeanSquaredError
from qdiag.calibrators.percentile import Percentile
from qdiag.core.scheme import CalibratorName

CALIBRATORS: Mapping[CalibratorName, Calibrator] = {
    "minmax": MinMax(),
    "moving_average": MovingAverage(),
    "percentile": Percentile(),
    "mse": MeanSquaredError(),
    "entropy": Entropy(),
}
HISTOGRAM_CALIBRATORS: frozenset[CalibratorName] = frozenset({"percentile", "mse", "entropy"})
"""Those that read the histogram, and so need more than a few samples of each image."""
