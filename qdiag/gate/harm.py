"""Whether quantization does harm, beside the limits: a gate does not pass in silence over what it was not asked."""

from qdiag.core.causes.ranking import Harm
from qdiag.core.measures.task import TaskResult
from qdiag.core.thresholds import Thresholds
from qdiag.gate.evidence import GateEvidence, why_no_metric


def harm_of(evidence: GateEvidence) -> Harm | None:
    """What the diagnosis says; of a measurement, what its judged figure says.

    None where nothing can be said: no diagnosis, and no figure of the task.
    """
    if evidence.ranking is not None:
        return evidence.ranking.harm
    judged = evidence.measurement.task.judged
    if judged is None or why_no_metric(evidence.measurement) is not None:
        return None
    return Harm.of_figure(judged)


def is_harm_limited(task: TaskResult, thresholds: Thresholds) -> bool:
    """A threshold speaks of the figure by which the network is judged; one on its growth since a baseline does not."""
    judged = task.judged
    if judged is None:
        return thresholds.min_sqnr_db.is_set
    limits = [thresholds.max_metric_drop, thresholds.min_metric, thresholds.max_metric]
    if judged is task.accuracy:
        limits += [thresholds.max_drop_pp, thresholds.max_relative_drop_percent, thresholds.min_accuracy_percent]
    if judged is task.agreement:
        limits.append(thresholds.max_flips_percent)
    return any(limit.is_set for limit in limits)
