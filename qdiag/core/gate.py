"""A gate: limits, and what became of each. Plain values; `qdiag.gate` judges, writers choose the words."""

import math
from dataclasses import dataclass, field
from typing import Literal

from qdiag.core.causes.ranking import Harm
from qdiag.core.measures.measurement import DataInfo, ModelInfo
from qdiag.core.measures.size import NetworkSize
from qdiag.core.measures.task import Criterion, Interval
from qdiag.core.presentation.presented import Held

GATE_SCHEMA_VERSION = 2

EXIT_PASSED, EXIT_FAILED, EXIT_CANNOT_JUDGE = 0, 1, 2

GateStatus = Literal["pass", "warn", "undecided", "cannot_judge", "fail"]

GateRule = Literal[
    "max_drop",
    "max_relative_drop",
    "min_accuracy",
    "max_flips",
    "max_metric_drop",
    "min_metric",
    "max_metric",
    "min_sqnr",
    "min_layer_sqnr",
    "baseline_drop",
    "baseline_flips",
    "baseline_metric",
    "baseline_sqnr",
    "no_new_causes",
    "forbid",
    "evidence",
]
"""`evidence` stands for results that could not even be read."""


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One threshold, judged.

    Attributes:
        limit: what the figure is held against; NaN where a code is forbidden rather than a number limited.
        warn_limit: the same of the level `warn`; NaN without one.
        value: the figure; NaN when there is none. unit: `pp`, `%`, `dB`, `layers`, or that of the criterion.
        criterion: of the figure of the task; None for others, and where there is none.
        interval: 95 %; None for figures without one. Of the change, where it is the change that has a limit (rules
            `baseline_...`), otherwise of the figure.
        baseline, change: the figure there, and this one minus it; NaN without a baseline.
        layer: of a check of one layer. code: of a check of one code.
        places: layers that the check is about, worst first.
        samples_needed: how many more samples would settle an undecided check in four runs out of five, if the rates
            seen so far are the true ones; None when no number would, or none is missing.
        reason: one short fact; empty when the figures say it all.
    """

    rule: GateRule
    status: GateStatus
    unit: str = ""
    limit: float = math.nan
    warn_limit: float = math.nan
    value: float = math.nan
    interval: Interval | None = None
    baseline: float = math.nan
    change: float = math.nan
    layer: str | None = None
    code: str | None = None
    places: tuple[str, ...] = ()
    samples_needed: int | None = None
    reason: str = ""
    criterion: Criterion | None = None


@dataclass(frozen=True, slots=True)
class NamedCause:
    """A claimed cause, as far as a gate speaks of it.

    Attributes:
        repair: the one that recovered most and keeps the scheme, else the best change of scheme; None without one.
        recovered_task: what it recovered of the figure by which the network is judged; NaN when not measured.
            criterion: that figure. recovered_db: the same at the output.
        is_new: the baseline does not have it; False without a baseline.
    """

    code: str
    layers: tuple[str, ...]
    repair: str | None = None
    recovered_task: float = math.nan
    recovered_db: float = math.nan
    is_new: bool = False
    criterion: Criterion | None = None


@dataclass(frozen=True, slots=True)
class LayerFigure:
    """One quantized layer: SQNR in dB, and its local SQNR in the baseline (NaN without one)."""

    layer: str
    local_db: float
    propagated_db: float
    baseline_db: float = math.nan


@dataclass(frozen=True, slots=True, repr=False)
class GateResult(Held):
    """All checks of a gate.

    Attributes:
        source: the stored result, or the model, that was judged.
        model, data: None when the result could not be read.
        weakest: quantized layers, lowest local SQNR first, at most `WEAKEST_AT_MOST`.
        fingerprints: of what was judged, by name; see `qdiag.core.baseline`.
        notes: what a careful reader should know.
        commands: what repairs the claimed causes, ready for a shell.
        harm: whether quantization does any, whatever the gate limits; None where nothing says so.
        is_harm_limited: a threshold of the gate speaks of the figure that decides on it.
        size: of the network that was judged; None when the result could not be read, or does not tell it.
        has_doubts: that nothing is lost need not hold for the network that will run, nor for all of its outputs; the
            notes say why.
    """

    source: str
    checks: tuple[GateCheck, ...]
    model: ModelInfo | None = None
    data: DataInfo | None = None
    scheme: str = ""
    causes: tuple[NamedCause, ...] = ()
    weakest: tuple[LayerFigure, ...] = ()
    fingerprints: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    strict: bool = False
    harm: Harm | None = None
    is_harm_limited: bool = False
    has_doubts: bool = False
    size: NetworkSize | None = None
    schema_version: int = GATE_SCHEMA_VERSION

    @property
    def status(self) -> GateStatus:
        """The gravest of all checks.

        What failed for certain is not undone by what could not be judged; nothing at all cannot be judged.
        """
        present = {check.status for check in self.checks}
        for status in _GRAVEST_FIRST:
            if status in present:
                return status
        return "cannot_judge"

    @property
    def exit_code(self) -> int:
        return {"fail": EXIT_FAILED, "cannot_judge": EXIT_CANNOT_JUDGE}.get(self.status, EXIT_PASSED)

    @property
    def is_harm_overlooked(self) -> bool:
        """The figure that decides on harm is beyond its limit, and no threshold of the gate looks at it."""
        return self.harm is not None and self.harm.verdict != "healthy" and not self.is_harm_limited

    def count(self, status: GateStatus) -> int:
        return sum(check.status == status for check in self.checks)


WEAKEST_AT_MOST = 20

_GRAVEST_FIRST: tuple[GateStatus, ...] = ("fail", "cannot_judge", "undecided", "warn", "pass")
