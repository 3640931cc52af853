"""Parallel linear branches that a sum joins, and the one convolution that computes the same. Plain numbers, no tensors.

Blocks as in RepVGG (arXiv 2101.03697), MobileOne (2206.04040), diverse branch blocks (2103.13425) and ACNet
(1908.03930); the two conditions and the lemma on beta are those of QARepVGG (2212.01593).
"""

from qdiag.core.measures.branches.block import (
    ALIGNED_DISTANCE,
    BLAME_DB,
    CONDITION_SQNR_DB,
    FUSION_ENOUGH_DB,
    FUSION_LOSS_DB,
    BetaAlignment,
    BetaDistance,
    BranchBlock,
    Condition,
    Fusion,
)
from qdiag.core.measures.branches.branch import Activations, Branch, BranchKind, NormFigures
from qdiag.core.measures.branches.layers import BlockLayers, block_layers
from qdiag.core.measures.branches.report import BranchesReport, BranchRepair

__all__ = [
    "ALIGNED_DISTANCE",
    "BLAME_DB",
    "CONDITION_SQNR_DB",
    "FUSION_ENOUGH_DB",
    "FUSION_LOSS_DB",
    "Activations",
    "BetaAlignment",
    "BetaDistance",
    "BlockLayers",
    "Branch",
    "BranchBlock",
    "BranchKind",
    "BranchRepair",
    "BranchesReport",
    "Condition",
    "Fusion",
    "NormFigures",
    "block_layers",
]
