"""TensorRT's threshold: the clipping point at which the quantized distribution says most about the original.

Source: S. Migacz, "8-bit Inference with TensorRT", GTC 2017 (Kullback-Leibler divergence over a histogram of |x|); the
bin at zero is taken to be as full as its neighbour, as in NVIDIA's pytorch-quantization.
"""

import numpy as np
import numpy.typing as npt
from torch import Tensor

from qdiag.calibrators.base import ActivationStatistics, RangeCalibrator
from qdiag.core.measures.ranges import Histogram
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError

_CANDIDATES = 512
_VALUES_PER_LEVEL = 10
"""With fewer values than this per level the histogram is mostly gaps, and the divergence rewards cutting into them."""


class Entropy(RangeCalibrator):
    """Clips |x| at the threshold with the least divergence."""

    def activation_range(self, statistics: ActivationStatistics, scheme: TensorScheme) -> tuple[float, float]:
        """The threshold T on both sides, cut down to the values that occur; too few values keep their whole range."""
        seen, histogram = statistics.range, statistics.range.histogram
        if histogram is None:
            return seen.min, seen.max
        one_sided = seen.min >= 0.0 and not scheme.signed
        levels = 1 << (scheme.bits if one_sided else scheme.bits - 1)
        if histogram.total < _VALUES_PER_LEVEL * levels:
            return seen.min, seen.max
        counts = _magnitudes(histogram)
        if len(counts) > 1:
            # ReLU's zeros are exact under every threshold, but spread over a level they would outvote all other values
            counts[0] = counts[1]
        threshold = kl_threshold(counts, histogram.bin_width, levels)
        return max(seen.min, -threshold), min(seen.max, threshold)

    def weight_range(self, rows: Tensor, scheme: TensorScheme) -> tuple[Tensor, Tensor]:
        """TensorRT takes the maximum for weights."""
        del rows, scheme
        raise CalibrationError("entropy is for activations: TensorRT itself takes the maximum of the weights")


def kl_threshold(counts: npt.NDArray[np.float64], bin_width: float, levels: int) -> float:
    """The threshold with the least KL divergence.

    Args:
        counts: histogram of |x| from 0, shape (B,).
        levels: quantization levels on one side. With no more bins than levels nothing can be gained by clipping.
    """
    if len(counts) <= levels:
        return len(counts) * bin_width
    step = max(1, (len(counts) - levels) // _CANDIDATES)
    candidates = [*range(levels, len(counts), step), len(counts)]
    divergences = [_divergence(counts, cut, levels) for cut in candidates]
    return float(candidates[int(np.argmin(divergences))] * bin_width)


def _divergence(counts: npt.NDArray[np.float64], cut: int, levels: int) -> float:
    """KL(P || Q): P is clipped at `cut`, Q is P's unclipped part merged into `levels` and spread out again."""
    inside = counts[:cut]
    p = inside.copy()
    p[-1] += counts[cut:].sum()
    edges = np.arange(levels) * cut // levels
    merged = np.add.reduceat(inside, edges)
    filled = np.add.reduceat((inside > 0).astype(np.float64), edges)
    lengths = np.diff(np.append(edges, cut))
    share = np.divide(merged, filled, out=np.zeros_like(merged), where=filled > 0)
    q = np.repeat(share, lengths) * (inside > 0)
    p, q = p / p.sum(), q / max(q.sum(), np.finfo(np.float64).tiny)
    both = p > 0
    # a value that P has and Q lost cannot be told at any price; a floor keeps the comparison finite
    return float(np.sum(p[both] * np.log(p[both] / np.maximum(q[both], 1e-12))))


def _magnitudes(histogram: Histogram) -> npt.NDArray[np.float64]:
    """The histogram of |x| from 0."""
    bins = np.arange(len(histogram.counts)) + histogram.first_bin
    index = np.where(bins >= 0, bins, -bins - 1)
    return np.bincount(index, weights=np.asarray(histogram.counts, dtype=np.float64)).astype(np.float64)
