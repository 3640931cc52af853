"""One branch: its BatchNorm, its weight, its values. Plain numbers, no tensors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qdiag.core.measures.ranges import TensorRange

BranchKind = Literal["kxk", "1x1", "identity", "avg_pool", "sequence"]
"""One convolution with a kernel larger than one, also along one axis only; one convolution of single pixels; the
block's input, with a BatchNorm or without; average pooling; several of these in a row."""


@dataclass(frozen=True, slots=True)
class Activations:
    """Values on the calibration data.

    Attributes:
        range: over all channels, with a histogram.
        mean, variance: per channel, (C,).
    """

    range: TensorRange
    mean: tuple[float, ...]
    variance: tuple[float, ...]

    @property
    def variance_mean(self) -> float:
        """Mean of the channels' variances: how far values lie from the means of their channels."""
        return _mean(self.variance) if self.variance else math.nan


@dataclass(frozen=True, slots=True)
class NormFigures:
    """A BatchNorm at the end of a branch, or behind the sum.

    Attributes:
        name: module path.
        gain: alpha = gamma / sqrt(variance + eps) per channel, (C,). beta, variance: per channel, (C,).
    """

    name: str
    gain: tuple[float, ...]
    beta: tuple[float, ...]
    variance: tuple[float, ...]
    eps: float

    @property
    def gain_max_abs(self) -> float:
        return max(map(abs, self.gain), default=math.nan)

    @property
    def gain_range(self) -> float:
        """Largest gain minus the smallest."""
        return max(self.gain) - min(self.gain) if self.gain else math.nan

    @property
    def gain_std(self) -> float:
        """Population standard deviation over channels."""
        return _std(self.gain)

    @property
    def widest_channel(self) -> int | None:
        """The channel with the largest |gain|."""
        sizes = [abs(gain) for gain in self.gain]
        return sizes.index(max(sizes)) if sizes else None


@dataclass(frozen=True, slots=True)
class Branch:
    """One way from the input of a block to its sum.

    Attributes:
        name: module path of what lies on it, unique in the block; `identity` where nothing does.
        ops: ATen operations in order, without the moves of values.
        kernel: size of its equivalent kernel along each axis, (1, 1) for an identity.
        norm: the BatchNorm that ends it; None without one.
        constant: what it gives for an input of zeros, (C,): beta - alpha mean where its BatchNorm comes last and
            nothing before it has a constant; empty where no single convolution computes the branch.
        own_weight: its equivalent kernel before `norm`, its own taps and groups alone; ones for an identity.
        weight: the same with `norm`, and with the BatchNorm behind the sum: what it adds to the fused weight.
            Both are None where no single convolution computes the branch.
        weight_max_abs: the largest |value| of `weight` per output channel, (C,); empty without it.
        without_sqnr_db: what C1 would be if this branch were not in the block; NaN where the scheme leaves the weight
            in float, or nothing else is in it.
        activations: of its output; None without data.
    """

    name: str
    kind: BranchKind
    ops: tuple[str, ...]
    kernel: tuple[int, ...]
    norm: NormFigures | None
    constant: tuple[float, ...]
    own_weight: TensorRange | None
    weight: TensorRange | None
    weight_max_abs: tuple[float, ...]
    without_sqnr_db: float = math.nan
    activations: Activations | None = None


def _std(values: Sequence[float]) -> float:
    if not values:
        return math.nan
    mean = _mean(values)
    return math.sqrt(_mean([(value - mean) ** 2 for value in values]))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
