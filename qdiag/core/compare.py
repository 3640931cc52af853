"""Two diagnoses side by side: plain values. `qdiag.compare` matches and judges, writers choose the words."""

import math
from dataclasses import dataclass
from typing import Literal

from qdiag.core.causes.ranking import Verdict
from qdiag.core.measures.size import NetworkSize
from qdiag.core.measures.task import Criterion
from qdiag.core.measures.task_change import Change, TaskChange, difference
from qdiag.core.presentation.presented import Held

COMPARISON_SCHEMA_VERSION = 2

MatchedBy = Literal["name", "shape and place", "fused block"]
Certainty = Literal["certain", "likely", "guess"]
CauseStatus = Literal["appeared", "gone", "remains", "suspect"]

_GRAVITY: dict[Change, int] = {"worse": 0, "better": 1, "unknown": 2, "same": 3}


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One of the two diagnoses.

    Attributes:
        source: its file. model_digest, data_digest: SHA-256.
        causes: claimed ones.
        size: bytes in float and quantized; None where they were not counted.
    """

    source: str
    model: str
    model_digest: str
    scheme: str
    data: str
    data_digest: str
    sample_count: int
    layer_count: int
    cause_count: int
    size: NetworkSize | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that is not the same in both, as words; empty where one side does not have it."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class LayerChange:
    """One layer that both networks have.

    Attributes:
        index: position after. name: after. name_before: the same, unless it was renamed.
        matched_by: `shape and place` for renamed layers; `fused block` where one network has a block of parallel
            branches, whose last layer this is, and the other one convolution in its place. certainty: of the match.
        local: of the layer alone: noise is made here; `unknown` for a fused block.
        propagated: inside the network: noise arrives here.
    """

    index: int
    name: str
    name_before: str
    kind: str
    matched_by: MatchedBy
    certainty: Certainty
    local_before_db: float
    local_after_db: float
    propagated_before_db: float
    propagated_after_db: float
    local: Change
    propagated: Change

    @property
    def local_change_db(self) -> float:
        """After - before; NaN where it is not defined, 0 between equal infinite values."""
        return difference(self.local_before_db, self.local_after_db)

    @property
    def propagated_change_db(self) -> float:
        return difference(self.propagated_before_db, self.propagated_after_db)

    @property
    def verdict(self) -> Change:
        """That of the layer alone where it changed; otherwise of what arrives at it, as for all of a fused block."""
        if self.matched_by == "fused block":
            return self.propagated
        for change in (self.local, self.propagated):
            if change in ("better", "worse"):
                return change
        return "unknown" if "unknown" in (self.local, self.propagated) else "same"

    @property
    def is_renamed(self) -> bool:
        return self.name != self.name_before


@dataclass(frozen=True, slots=True)
class LoneLayer:
    """A layer that one of the two networks does not have.

    Attributes:
        block: of parallel branches in which it lies, where the other network has one convolution; None elsewhere.
    """

    index: int
    name: str
    kind: str
    local_db: float
    propagated_db: float
    block: str | None = None


@dataclass(frozen=True, slots=True)
class CauseChange:
    """One suspect in either diagnosis, or in both.

    Attributes:
        status: `appeared` and `gone` speak of claimed causes; `suspect` is claimed in neither.
        layers_before, layers_after: names as in each diagnosis; empty where the suspect is not there.
        verdict_before, verdict_after: None where it is not there.
        recovered_before, recovered_after: of the figure by which each is judged, by its best repair, one that keeps the
            scheme if any of these recovered something beyond noise; NaN without one, or without such a figure.
            criterion_before, criterion_after: that figure.
        recovered_before_db, recovered_after_db: the same, at the output.
    """

    status: CauseStatus
    code: str
    layers_before: tuple[str, ...]
    layers_after: tuple[str, ...]
    verdict_before: Verdict | None
    verdict_after: Verdict | None
    recovered_before: float = math.nan
    recovered_after: float = math.nan
    recovered_before_db: float = math.nan
    recovered_after_db: float = math.nan
    criterion_before: Criterion | None = None
    criterion_after: Criterion | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Held):
    """Everything `qdiag compare` prints. Positive changes are better.

    Attributes:
        min_change_db: a layer whose SQNR changed by less counts as the same.
        forced: why the two should not be compared, where they were all the same.
        differences: settings that differ. layers: in the order of the network after.
        missing: layers that only the network before has; new: only the one after.
        causes: claimed ones first.
    """

    before: RunSummary
    after: RunSummary
    min_change_db: float
    task: TaskChange
    layers: tuple[LayerChange, ...]
    missing: tuple[LoneLayer, ...] = ()
    new: tuple[LoneLayer, ...] = ()
    causes: tuple[CauseChange, ...] = ()
    differences: tuple[Difference, ...] = ()
    forced: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    schema_version: int = COMPARISON_SCHEMA_VERSION

    @property
    def changed(self) -> tuple[LayerChange, ...]:
        """Layers that are worse, then those that are better or unknown.

        Of these, layers that changed by themselves come before those at which a change arrives, large changes first.
        """
        changed = [layer for layer in self.layers if layer.verdict != "same"]
        return tuple(sorted(changed, key=_order))

    def count(self, verdict: Change) -> int:
        return sum(layer.verdict == verdict for layer in self.layers)

    def causes_with(self, status: CauseStatus) -> tuple[CauseChange, ...]:
        return tuple(cause for cause in self.causes if cause.status == status)


def _order(layer: LayerChange) -> tuple[int, bool, float, int]:
    is_local = layer.local in ("better", "worse")
    change = layer.local_change_db if is_local else layer.propagated_change_db
    return _GRAVITY[layer.verdict], not is_local, 0.0 if math.isnan(change) else -abs(change), layer.index
