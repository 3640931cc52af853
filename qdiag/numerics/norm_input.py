"""What reaches a BatchNorm against what it remembers of training."""

import torch
from torch import Tensor

_LIVE_FRACTION = 1e-6
"""Of the largest running variance: below it a channel was constant in training, and its deviation is no unit."""
_UPPER_QUARTILE = 0.75
_CHUNK = 1 << 20
"""Elements that are held in float64 at a time, where one sample has no more."""


class ChannelMoments:
    """Mean and variance per channel over batches (N, C, ...), summed in float64."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None
        self._count = 0

    def add(self, x: Tensor) -> None:
        """Adds a batch."""
        axes = [axis for axis in range(x.ndim) if axis != 1]
        for part in torch.split(x.detach(), max(_CHUNK // max(x[:1].numel(), 1), 1)):
            wide = part.double()
            new = torch.stack([wide.sum(axes), wide.square().sum(axes)])
            self._sums = new if self._sums is None else self._sums + new
        self._count += x.numel() // max(x.shape[1], 1)

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        """Shape (C,) each; the variance is that of the population.

        Raises:
            ValueError: nothing was added.
        """
        if self._sums is None or not self._count:
            raise ValueError("no values")
        sums = self._sums.cpu() / self._count
        return sums[0], (sums[1] - sums[0].square()).clamp(min=0.0)


def live_channels(running_variance: Tensor) -> Tensor:
    """Channels that varied in training, (C,), bool."""
    variance = running_variance.detach().double().cpu()
    return variance > _LIVE_FRACTION * variance.max()


def statistics_distance(moments: ChannelMoments, running_mean: Tensor, running_variance: Tensor) -> tuple[float, float]:
    """How far a BatchNorm's input is from its running statistics, over the channels that varied in training.

    Returns:
        The upper quartile of |mean - running mean| / sqrt(running variance), and the median of
        variance / running variance. Quantiles, so that a few channels with broken statistics, which are a fault of the
        network and not of its inputs, do not count. NaN where no channel varied.
    """
    mean, variance = moments.mean_and_variance()
    kept_mean, kept_variance = (x.detach().double().cpu() for x in (running_mean, running_variance))
    live = live_channels(running_variance)
    shift = ((mean - kept_mean).abs() / kept_variance.sqrt())[live]
    ratio = (variance / kept_variance)[live]
    if not live.any():
        return float("nan"), float("nan")
    return float(shift.quantile(_UPPER_QUARTILE)), float(ratio.quantile(0.5))
