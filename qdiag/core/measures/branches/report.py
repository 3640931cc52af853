"""The result of `qdiag branches`."""

import math
from dataclasses import dataclass, field

from qdiag.core.causes.score import Recovery, Score
from qdiag.core.measures.branches.block import BranchBlock
from qdiag.core.measures.measurement import SCHEMA_VERSION, Measurement, ModelInfo, StageTime


@dataclass(frozen=True, slots=True)
class BranchRepair:
    """A repair that needs no training, made on the fused network; all blocks that break a condition are its sites.

    Attributes:
        repair: its name in `qdiag.core.causes.repair_traits`.
        layers: where it changed something. refused: why it was not made.
        score: the quantized network with it, against the float one.
        recovery: what it has over the fused network without it.
    """

    repair: str
    layers: tuple[str, ...] = ()
    score: Score | None = None
    recovery: Recovery | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class BranchesReport:
    """Everything `qdiag branches` prints.

    Attributes:
        blocks: in graph order; empty where the network has no parallel linear branches (any more).
        before: the quantized network as it was read. after: with every block fused that can be; None without one.
        float_max_abs_delta, float_relative_delta: largest |fused - as read| of a float output on the measured data, and
            the same over the largest |value| of that output; NaN when nothing was fused.
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
