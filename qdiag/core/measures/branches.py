"""Parallel linear branches that a sum joins, and the one convolution that computes the same. Plain numbers, no tensors.

Blocks as in RepVGG (arXiv 2101.03697), MobileOne (2206.04040), diverse branch blocks (2103.13425) and ACNet
(1908.03930); the two conditions and the lemma on beta are those of QARepVGG (2212.01593).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from qdiag.core.causes.score import Score
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.measurement import SCHEMA_VERSION, Measurement, ModelInfo, StageTime
from qdiag.core.measures.ranges import TensorRange

BranchKind = Literal["kxk", "1x1", "identity", "avg_pool", "sequence"]
"""One convolution with a kernel larger than one, also along one axis only; one convolution of single pixels; the
block's input, with a BatchNorm or without; average pooling; several of these in a row."""

CONDITION_SQNR_DB = 20.0
"""C1 and C2 hold from this SQNR on: the rounding has at most a hundredth of the power of what is rounded."""
BLAME_DB = 6.0
"""A branch is at fault when the condition's SQNR would be at least this much better without it: one bit."""
ALIGNED_DISTANCE = 0.5
"""beta is aligned when it lies at most this far from what the lemma says, in units of that."""


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
        return fmean(self.variance) if self.variance else math.nan


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
        constant: what it adds per channel far from borders, (C,): beta where its BatchNorm comes last and nothing
            before it adds anything; empty where no single convolution computes the branch.
        own_weight: its equivalent kernel before `norm`, at its own taps; an identity has ones and zeros.
        weight: what it adds to the weight of the fused convolution, at its own taps.
            Both are None where no single convolution computes the branch.
        weight_max_abs: the largest |value| of `weight` per output channel, (C,); empty without it.
        without_sqnr_db: SQNR of the fused weight, quantized as the scheme says, if this branch were not in it, the
            median over output channels; NaN where the scheme leaves it in float, or nothing else is in it.
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


@dataclass(frozen=True, slots=True)
class BetaDistance:
    """The constant of one branch beside that of the lemma: beta = -E(identity) / 2 in every channel.

    Attributes:
        distance: root mean square over channels of beta + E(identity) / 2, over that of E(identity) / 2.
        correlation: of beta and -E(identity) / 2 over channels; NaN where either is constant.
    """

    branch: str
    distance: float
    correlation: float

    @property
    def is_aligned(self) -> bool:
        return self.distance <= ALIGNED_DISTANCE


@dataclass(frozen=True, slots=True)
class BetaAlignment:
    """Whether the constants of the convolution branches cancel the mean of the identity (arXiv 2212.01593, lemma 3.1).

    Attributes:
        identity: name of the branch. wanted: -E(identity) / 2 per channel, (C,).
        branches: those with one convolution, in the order of the block.
        beta_difference: root mean square over channels of the difference of the first two of them, over that of
            `wanted`; NaN with fewer than two.
    """

    identity: str
    wanted: tuple[float, ...]
    branches: tuple[BetaDistance, ...]
    beta_difference: float


@dataclass(frozen=True, slots=True)
class Fusion:
    """The one convolution that computes what a block computes.

    Attributes:
        weight_name, bias_name: what its tensors are called in a fused checkpoint.
        weight_shape: (C_out, C_in / groups, ...). padding: (before, after) per axis; padding_mode as in `nn.Conv2d`.
        weight: its values. weight_max_abs: per output channel, (C,).
        max_abs_delta: largest |fused - branches| of the block's float output on the calibration data.
        relative_delta: the same over the largest |output|.
    """

    weight_name: str
    bias_name: str
    weight_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    padding_mode: str
    weight: TensorRange
    weight_max_abs: tuple[float, ...]
    max_abs_delta: float
    relative_delta: float


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the two conditions under which a block quantizes well.

    Attributes:
        sqnr_db: of the fused weight, the median over output channels (C1), or of the block's output, rounding of that
            output alone (C2); NaN where the scheme leaves it in float.
        limit_db: from which it holds.
        at_fault: the branch without which it would be better by `BLAME_DB` or more; None where no single one is.
    """

    sqnr_db: float
    limit_db: float = CONDITION_SQNR_DB
    at_fault: str | None = None

    @property
    def holds(self) -> bool | None:
        """None where nothing is quantized."""
        return None if math.isnan(self.sqnr_db) else self.sqnr_db >= self.limit_db


@dataclass(frozen=True, slots=True)
class BranchBlock:
    """Branches and their sum.

    Attributes:
        name: common module path of the branches, unique. source: the layer whose output all branches read.
        layer: name of the layer that ends the block in the network as it was read.
        fused_layer: name of the convolution in the fused network.
        norm: BatchNorm behind the sum; None without one.
        sum: of the branches, before `norm`. output: after it, before any activation function; the same without `norm`.
        fusion: None where one convolution does not compute the same, or must not be: `refused` says why.
        c1: the fused weight quantizes well. c2: the activations do. None without a fusion.
        alignment: None without an identity branch.
        before: error at the block's end in the quantized network as it was read, clamped as it is there.
        after: the same in the fused one. Both against the float network.
    """

    name: str
    source: str
    layer: str
    branches: tuple[Branch, ...]
    fused_layer: str | None = None
    norm: NormFigures | None = None
    sum: Activations | None = None
    output: Activations | None = None
    fusion: Fusion | None = None
    refused: str | None = None
    c1: Condition | None = None
    c2: Condition | None = None
    alignment: BetaAlignment | None = None
    before: ErrorSums | None = None
    after: ErrorSums | None = None

    def branch(self, name: str) -> Branch:
        """The branch of this name.

        Raises:
            KeyError: there is none.
        """
        for branch in self.branches:
            if branch.name == name:
                return branch
        raise KeyError(name)

    @property
    def identity(self) -> Branch | None:
        return next((branch for branch in self.branches if branch.kind == "identity"), None)

    @property
    def variance_inflation(self) -> float:
        """Variance of the sum over the sum of the branches' variances: above 1 the branches rise and fall together."""
        parts = [branch.activations.variance_mean for branch in self.branches if branch.activations is not None]
        total = math.fsum(parts)
        return self.sum.variance_mean / total if self.sum is not None and total > 0.0 else math.nan


@dataclass(frozen=True, slots=True)
class BranchRepair:
    """A repair that needs no training, made on the fused network; all blocks that break a condition are its sites.

    Attributes:
        repair: its name in `qdiag.core.causes.repair_traits`.
        layers: where it changed something. refused: why it was not made.
        score: the quantized network with it, against the float one.
    """

    repair: str
    layers: tuple[str, ...] = ()
    score: Score | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class BranchesReport:
    """Everything `qdiag branches` prints.

    Attributes:
        blocks: in graph order; empty where the network has no parallel linear branches (any more).
        before: the quantized network as it was read. after: with every block fused that can be; None without one.
        float_max_abs_delta, float_relative_delta: largest |fused - as read| of a float output on the measured data, and
            the same over the largest |output|; NaN when nothing was fused.
        repairs: on the fused network.
    """

    model: ModelInfo
    blocks: tuple[BranchBlock, ...]
    before: Measurement
    after: Measurement | None = None
    float_max_abs_delta: float = math.nan
    float_relative_delta: float = math.nan
    repairs: tuple[BranchRepair, ...] = ()
    notes: tuple[str, ...] = ()
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def block(self, name: str) -> BranchBlock:
        """The block of this name.

        Raises:
            KeyError: there is none.
        """
        for block in self.blocks:
            if block.name == name:
                return block
        raise KeyError(name)

    @property
    def fused(self) -> tuple[BranchBlock, ...]:
        return tuple(block for block in self.blocks if block.fusion is not None)


def _std(values: Sequence[float]) -> float:
    if not values:
        return math.nan
    mean = fmean(values)
    return math.sqrt(fmean((value - mean) ** 2 for value in values))
