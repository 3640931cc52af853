"""Thresholds on the figure by which the network is judged, whatever it is: its loss, and its value."""

from collections.abc import Iterator

from qdiag.core.gate import GateCheck, GateRule
from qdiag.core.measures.measurement import Measurement
from qdiag.core.thresholds import Limit, Thresholds
from qdiag.gate.evidence import why_no_metric
from qdiag.gate.figures import cannot_judge, loss_check, value_check


def metric_checks(measurement: Measurement, thresholds: Thresholds) -> Iterator[GateCheck]:
    """One check for every threshold on the judged figure that is set."""
    judged, reason = measurement.task.judged, why_no_metric(measurement)
    asked: tuple[tuple[GateRule, Limit, bool | None], ...] = (
        ("max_metric_drop", thresholds.max_metric_drop, None),
        ("min_metric", thresholds.min_metric, True),
        ("max_metric", thresholds.max_metric, False),
    )
    for rule, limit, is_floor in asked:
        if not limit.is_set:
            continue
        if judged is None or reason:
            yield cannot_judge(rule, "", limit, reason or "")
        elif is_floor is None:
            yield loss_check(rule, judged, limit)
        elif is_floor == judged.criterion.higher_is_better:
            yield value_check(rule, judged, limit, is_floor=is_floor)
        else:
            better, other = ("lower", "`max_metric`") if is_floor else ("higher", "`min_metric`")
            why = f"of {judged.criterion.name} {better} is better: {other} limits it"
            yield cannot_judge(rule, judged.criterion.unit, limit, why, judged)
