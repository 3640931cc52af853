"""Parallel linear branches and their sum, as nodes of a graph and as maps."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, fx

from qdiag.numerics.batchnorm import ChannelAffine
from qdiag.numerics.convolutions.conv_map import ConvMap

PathKind = Literal["kxk", "1x1", "identity", "avg_pool", "sequence"]


@dataclass(frozen=True)
class BlockNorm:
    """A BatchNorm at the end of a branch, or behind the sum.

    Attributes:
        name: module path. affine: its gain and shift. beta, variance: (C,), zeros without beta.
    """

    node: fx.Node
    name: str
    affine: ChannelAffine
    beta: Tensor
    variance: Tensor
    eps: float


@dataclass(frozen=True)
class BranchPath:
    """One way from the input of a block to its sum.

    Attributes:
        name: module path of what lies on it, unique in the block.
        ops: ATen operations in order, without those that move or pass on values.
        end: gives what is added up; the input of the block for a bare identity.
        factor: by which it is added up.
        norm: the BatchNorm that ends it; None without one.
        own: before `norm`. whole: all of it, `factor` included. None where no single convolution computes it.
    """

    name: str
    kind: PathKind
    ops: tuple[str, ...]
    end: fx.Node
    factor: float
    norm: BlockNorm | None
    own: ConvMap | None
    whole: ConvMap | None


@dataclass(frozen=True)
class LinearBlock:
    """Branches and their sum.

    Attributes:
        name: common module path of what lies on the branches, unique in the network; that of the sum at the top.
        path: the module path; empty for the top.
        source: what all branches read. root: the sum. end: the BatchNorm behind it, or the sum.
        nodes: everything from the first operation behind `source` to `end`.
        norm: behind the sum; None without one.
        fused: the one map that the block computes; None where no single convolution does: `refused` says why.
    """

    name: str
    path: str
    source: fx.Node
    root: fx.Node
    end: fx.Node
    nodes: frozenset[fx.Node]
    paths: tuple[BranchPath, ...]
    norm: BlockNorm | None
    fused: ConvMap | None
    refused: str | None = None
