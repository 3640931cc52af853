"""Too few samples are no evidence: where they cannot exclude twice the limit, the check fails."""

import math
from dataclasses import replace

from qdiag.core.gate import GateCheck
from qdiag.core.measures.task import Z_95

_LEAST = 1.0
"""Percentage points added to a limit of zero or less, of which twice would be no more."""
_UPPER = ("max_drop", "max_relative_drop", "max_flips", "max_metric_drop")
_CHANGES = ("baseline_drop", "baseline_flips", "baseline_metric")
_FLOORS = ("min_accuracy", "min_metric")
_IN_ANY_UNIT = ("max_metric_drop", "min_metric", "max_metric", "baseline_metric")
_IN_DB = ("min_sqnr", "min_layer_sqnr", "baseline_sqnr")


def with_few_samples(check: GateCheck, sample_count: int) -> GateCheck:
    """The check, failed where it would have passed on samples that say nothing.

    - A figure with an interval: the interval has to exclude twice the limit; of a least accuracy, twice the error that
      it allows.
    - A change since a baseline, which passes within its tolerance: even samples that all agree have to exclude twice
      the tolerance. A loss that has shrunk need not be that sure: its own interval has to.
    - SQNR, which has no interval, and figures that are no share of samples: one sample is none.
    """
    if check.status not in ("undecided", "pass", "warn") or math.isnan(check.limit):
        return check
    bound = _bound(check)
    if bound is None or (check.interval is None and not check.rule.startswith("baseline")):
        is_short = check.rule in (*_IN_DB, *_IN_ANY_UNIT, *_UPPER, *_FLOORS) and sample_count < 2
        reason = "one sample is no evidence"
    elif check.rule.startswith("baseline") and check.status != "undecided":
        is_short = 100.0 * Z_95 * math.sqrt(2.0) / (sample_count + 2) > bound
        if check.change < 0.0:
            is_short = is_short and check.interval is not None and check.interval.high > bound
        reason = f"so few samples cannot exclude a change of {bound:g} {check.unit}, whatever they show"
    else:
        interval = check.interval
        is_short = interval is not None and (interval.low < bound if check.rule in _FLOORS else interval.high > bound)
        reason = f"so few samples cannot even exclude {bound:g} {check.unit}"
    if not is_short:
        return check
    samples = "1 sample" if sample_count == 1 else f"{sample_count} samples"
    return replace(check, status="fail", reason=f"{reason} ({samples}); `allow_few_samples` lets it pass")


def _bound(check: GateCheck) -> float | None:
    """Twice the limit; None for figures that are no share of samples."""
    if check.rule in _IN_ANY_UNIT and check.unit not in _SHARES:
        return None
    if check.rule in (*_UPPER, *_CHANGES):
        return 2.0 * check.limit if check.limit > 0.0 else check.limit + _LEAST
    if check.rule in _FLOORS:
        error = 100.0 - check.limit
        return 100.0 - (2.0 * error if error > 0.0 else _LEAST)
    return None


_SHARES = ("pp", "%")
