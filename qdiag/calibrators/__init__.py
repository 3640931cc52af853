"""From statistics to ranges."""

from collections.abc import Mapping

import torch
from torch import Tensor

from qdiag.calibrators.base import ActivationStatistics, Calibrator
from qdiag.calibrators.entropy import Entropy
from qdiag.calibrators.minmax import MinMax
from qdiag.calibrators.moving_average import MovingAverage
from qdiag.calibrators.mse import MeanSquaredError
from qdiag.calibrators.percentile import Percentile
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.layout import grouped
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer

CALIBRATORS: Mapping[str, Calibrator] = {
    "minmax": MinMax(),
    "moving_average": MovingAverage(),
    "percentile": Percentile(),
    "mse": MeanSquaredError(),
    "entropy": Entropy(),
}
HISTOGRAM_CALIBRATORS = frozenset({"percentile", "mse", "entropy"})
"""Those that read the histogram, and so need more than a few samples of each image."""


def calibrate_activation(statistics: ActivationStatistics, scheme: TensorScheme) -> Quantizer:
    """The quantizer of one activation tensor.

    Raises:
        CalibrationError: the range is not finite.
    """
    low, high = scheme.range or CALIBRATORS[scheme.calibrator].activation_range(statistics, scheme)
    return Affine.from_range(torch.tensor(low), torch.tensor(high), scheme)


def calibrate_weight(weight: Tensor, scheme: TensorScheme, channel_axis: int) -> Quantizer:
    """The quantizer of one weight; per channel along `channel_axis`, per group along the rest of a channel.

    Raises:
        CalibrationError: a weight is not finite.
    """
    weight = weight.detach().float()
    if scheme.granularity == "per_tensor":
        low, high = _weight_range(weight.reshape(1, -1), scheme)
        return Affine.from_range(low[0], high[0], scheme)
    size = scheme.group_size
    if scheme.granularity == "per_group" and size is not None:
        groups = grouped(weight, channel_axis, size)
        low, high = _weight_range(groups.reshape(-1, size), scheme)
        shape = groups.shape[:2]
        return Affine.from_range(low.view(shape), high.view(shape), scheme, channel_axis=channel_axis)
    rows = weight.movedim(channel_axis, 0).reshape(weight.shape[channel_axis], -1)
    low, high = _weight_range(rows, scheme)
    return Affine.from_range(low, high, scheme, channel_axis=channel_axis)


def _weight_range(rows: Tensor, scheme: TensorScheme) -> tuple[Tensor, Tensor]:
    """Lowest and highest value of each row (R, K), shape (R,)."""
    if scheme.range is None:
        return CALIBRATORS[scheme.calibrator].weight_range(rows, scheme)
    low, high = scheme.range
    return rows.new_full((len(rows),), low), rows.new_full((len(rows),), high)
