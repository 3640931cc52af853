"""What a gate asks for."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a check fails, and where it warns; None for a level that was not asked for.

    A failure has to be certain: the interval of the figure lies beyond the limit. A warning stops nobody, so the figure
    itself decides.

    Attributes:
        is_percent: a sign of percent stood beside a number, so that both levels are percent beyond doubt.
    """

    fail: float | None = None
    warn: float | None = None
    is_percent: bool = False

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
        max_drop_pp: share of right answers of the float network minus that of the quantized one, in percentage points.
        max_relative_drop_percent: the same over the share of the float network.
        min_accuracy_percent: share of right answers of the quantized network.
        max_flips_percent: share of answers that are not those of the float network; needs no labels.
        min_sqnr_db: of the output that lost most.
        min_layer_sqnr_db: local SQNR of every quantized layer. allow: exceptions to its level `fail`.
        tolerance_pp: how much larger drop (or flips, without labels) may be than in the baseline.
        tolerance_db: how much lower the SQNR of the output may be than in the baseline.
        max_metric_drop: loss of the figure by which the network is judged, in its unit; positive is worse, whatever its
            direction.
        min_metric: that figure of the quantized network, where higher is better. max_metric: where lower is better.
        tolerance_metric: how much larger its loss may be than in the baseline.
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
    max_metric_drop: Limit = Limit()
    min_metric: Limit = Limit()
    max_metric: Limit = Limit()
    tolerance_metric: Limit = Limit()
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
            self.max_metric_drop,
            self.min_metric,
            self.max_metric,
            self.tolerance_metric,
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
    def without_baseline(self) -> "Thresholds":
        """Those that need none."""
        return replace(self, tolerance_pp=Limit(), tolerance_db=Limit(), tolerance_metric=Limit(), no_new_causes="off")

    @property
    def needs_baseline(self) -> bool:
        tolerances = (self.tolerance_pp, self.tolerance_db, self.tolerance_metric)
        return any(limit.is_set for limit in tolerances) or self.no_new_causes != "off"
