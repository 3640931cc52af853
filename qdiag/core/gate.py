"""A gate: limits, and what became of each. Plain values; `qdiag.gate` judges, writers choose the words."""

import math
from dataclasses import dataclass, field
from typing import Literal

from qdiag.core.measures.measurement import DataInfo, ModelInfo
from qdiag.core.measures.task import Interval

GATE_SCHEMA_VERSION = 1

EXIT_PASSED, EXIT_FAILED, EXIT_CANNOT_JUDGE = 0, 1, 2

GateStatus = Literal["pass", "warn", "undecided", "cannot_judge", "fail"]

GateRule = Literal[
    "max_drop",
    "max_relative_drop",
    "min_accuracy",
    "max_flips",
    "min_sqnr",
    "min_layer_sqnr",
    "baseline_drop",
    "baseline_flips",
    "baseline_sqnr",
    "no_new_causes",
    "forbid",
    "evidence",
]
"""`evidence` stands for results that could not even be read."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a check fails, and where it warns; None for a level that was not asked for.

    A failure has to be certain: the interval of the figure lies beyond the limit. A warning stops nobody, so the figure
    itself decides.
    """

    fail: float | None = None
    warn: float | None = None

    @property
    def is_set(self) -> bool:
        return self.fail is not None or self.warn is not None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Another limit for the layers that a glob pattern names; the longest pattern that matches a layer counts.

    Attributes:
        min_sqnr_db: -inf exempts the layers.
    """

    pattern: str
    min_sqnr_db: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a gate asks for.

    Attributes:
        max_drop_pp: top-1 of the float network minus that of the quantized one, in percentage points.
        max_relative_drop_percent: the same over the float network's top-1.
        min_accuracy_percent: top-1 of the quantized network.
        max_flips_percent: samples on which the two networks differ in top-1; needs no labels.
        min_sqnr_db: of the output that lost most.
        min_layer_sqnr_db: local SQNR of every quantized layer. allow: exceptions to its level `fail`.
        tolerance_pp: how much larger drop (or flips, without labels) may be than in the baseline.
        tolerance_db: how much lower the SQNR of the output may be than in the baseline.
        no_new_causes: a claimed cause at a layer where the baseline has none fails, or warns.
        forbid, warn_codes: codes of findings that fail, or warn.
        strict: what cannot be decided on so few samples fails.
        allow_few_samples: so few samples that not even twice the limit is excluded are undecided, rather than fail.
    """

    max_drop_pp: Limit = Limit()
    max_relative_drop_percent: Limit = Limit()
    min_accuracy_percent: Limit = Limit()
    max_flips_percent: Limit = Limit()
    min_sqnr_db: Limit = Limit()
    min_layer_sqnr_db: Limit = Limit()
    allow: tuple[Allowance, ...] = ()
    tolerance_pp: Limit = Limit()
    tolerance_db: Limit = Limit()
    no_new_causes: Literal["off", "warn", "fail"] = "off"
    forbid: tuple[str, ...] = ()
    warn_codes: tuple[str, ...] = ()
    strict: bool = False
    allow_few_samples: bool = False

    @property
    def limits(self) -> tuple[Limit, ...]:
        return (
            self.max_drop_pp,
            self.max_relative_drop_percent,
            self.min_accuracy_percent,
            self.max_flips_percent,
            self.min_sqnr_db,
            self.min_layer_sqnr_db,
            self.tolerance_pp,
            self.tolerance_db,
        )

    @property
    def is_empty(self) -> bool:
        """Nothing is asked for."""
        return (
            not any(limit.is_set for limit in self.limits)
            and self.no_new_causes == "off"
            and not (self.forbid or self.warn_codes)
        )

    @property
    def can_fail(self) -> bool:
        """At least one threshold is more than a warning."""
        return any(limit.fail is not None for limit in self.limits) or self.no_new_causes == "fail" or bool(self.forbid)

    @property
    def needs_baseline(self) -> bool:
        return self.tolerance_pp.is_set or self.tolerance_db.is_set or self.no_new_causes != "off"


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One threshold, judged.

    Attributes:
        limit: what the figure is held against; NaN where a code is forbidden rather than a number limited.
        warn_limit: the same of the level `warn`; NaN without one.
        value: the figure; NaN when there is none. unit: `pp`, `%`, `dB` or `layers`.
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


@dataclass(frozen=True, slots=True)
class NamedCause:
    """A claimed cause, as far as a gate speaks of it.

    Attributes:
        repair: the one that gave back most and keeps the scheme, else the best way around; None without one.
        recovered_pp, recovered_db: what it gave back; NaN when not measured.
        is_new: the baseline does not have it; False without a baseline.
    """

    code: str
    layers: tuple[str, ...]
    repair: str | None = None
    recovered_pp: float = math.nan
    recovered_db: float = math.nan
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class LayerFigure:
    """One quantized layer: SQNR in dB, and its local SQNR in the baseline (NaN without one)."""

    layer: str
    local_db: float
    propagated_db: float
    baseline_db: float = math.nan


@dataclass(frozen=True, slots=True)
class GateResult:
    """All checks of a gate.

    Attributes:
        source: the stored result, or the model, that was judged.
        model, data: None when the result could not be read.
        weakest: quantized layers, lowest local SQNR first, at most `WEAKEST_AT_MOST`.
        fingerprints: of what was judged, by name; see `qdiag.core.baseline`.
        notes: what a careful reader should know.
        commands: what repairs the claimed causes, ready for a shell.
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

    def count(self, status: GateStatus) -> int:
        return sum(check.status == status for check in self.checks)


WEAKEST_AT_MOST = 20

_GRAVEST_FIRST: tuple[GateStatus, ...] = ("fail", "cannot_judge", "undecided", "warn", "pass")
