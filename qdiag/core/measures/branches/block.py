"""Branches and their sum, the one convolution that computes the same, and whether it quantizes well.

The two conditions and the lemma on beta are those of QARepVGG (arXiv 2212.01593).
"""

import math
from dataclasses import dataclass

from qdiag.core.measures.branches.branch import Activations, Branch, NormFigures
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.ranges import TensorRange

CONDITION_SQNR_DB = 20.0
"""C1 and C2 hold from this SQNR on: the rounding has at most a hundredth of the power of what is rounded."""
BLAME_DB = 6.0
"""A branch is at fault when the condition's SQNR would be at least this much better without it: one bit."""
FUSION_LOSS_DB = 3.0
"""Fusion costs a block something from this drop of its SQNR on: half a bit, twice the noise."""
FUSION_ENOUGH_DB = 30.0
"""At and above this SQNR of the fused block no drop counts: the noise is a thousandth of the signal's power."""
ALIGNED_DISTANCE = 0.5
"""beta is aligned when it lies at most this far from what the lemma says, in units of that."""


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
    """Whether the constants of the convolution branches cancel the mean of the identity (arXiv 2212.01593, its lemma).

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
        identity_over_others: |weight| where an identity adds to it (own channel, centre of the kernel) over the largest
            other |weight| of the channel, the largest over channels; NaN where there is no such place.
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
    identity_over_others: float = math.nan


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the two conditions under which a block quantizes well.

    Attributes:
        sqnr_db: where the fused weight alone is rounded, the lower of that of the weight, the median over output
            channels, and that of the block's output over all of its values (C1); or of the block's output where its
            input and this output are rounded and the weights are not (C2). NaN where the scheme leaves it in float.
        limit_db: from which it holds.
        at_fault: the branch without which it would be better by `BLAME_DB` or more; None where no single one is, and
            where the condition holds.
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
        alone: error of the fused convolution alone, on quantized float inputs: what of `after` is made here.
        weight_channel_sqnr_db, weight_output_sqnr_db: the two figures of C1; NaN where the weight stays in float.
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
    alone: ErrorSums | None = None
    weight_channel_sqnr_db: float = math.nan
    weight_output_sqnr_db: float = math.nan

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
    def fusion_loss_db(self) -> float:
        """SQNR at the block's end as it was read minus that in the fused network; NaN without both."""
        if self.before is None or self.after is None:
            return math.nan
        return self.before.sqnr_db - self.after.sqnr_db

    @property
    def has_fusion_loss(self) -> bool:
        """The fused network has less here, by enough, and not so much that it does not matter."""
        return (
            self.after is not None and self.after.sqnr_db < FUSION_ENOUGH_DB and self.fusion_loss_db >= FUSION_LOSS_DB
        )

    @property
    def makes_fusion_loss(self) -> bool:
        """Of the noise that fusion adds, the block's own convolution makes half or more; else most of it arrives."""
        if not self.has_fusion_loss or self.before is None or self.after is None or self.alone is None:
            return False
        return self.alone.mse >= 0.5 * (self.after.mse - self.before.mse)

    @property
    def is_broken(self) -> bool:
        """A condition does not hold, or the fused convolution itself loses what the branches kept."""
        fails = any(condition is not None and condition.holds is False for condition in (self.c1, self.c2))
        return fails or self.makes_fusion_loss

    @property
    def variance_inflation(self) -> float:
        """Variance of the sum over the sum of the branches' variances: above 1 the branches rise and fall together."""
        parts = [branch.activations.variance_mean for branch in self.branches if branch.activations is not None]
        total = math.fsum(parts)
        return self.sum.variance_mean / total if self.sum is not None and total > 0.0 else math.nan
