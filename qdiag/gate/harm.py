"""Whether quantization does harm, beside the limits: a gate does not pass in silence over what it was not asked."""

from collections.abc import Iterator

from qdiag.core.causes.lost_outputs import SQNR_LIMIT_DB, lost_outputs
from qdiag.core.causes.ranking import Harm
from qdiag.core.causes.score import Score
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import TaskResult
from qdiag.core.thresholds import Thresholds
from qdiag.gate.evidence import GateEvidence, why_no_metric
from qdiag.reading.words.task.reservations import chance_words


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


def doubts(measurement: Measurement) -> Iterator[str]:
    """Why a network of which the judged figure loses nothing need not be called healthy."""
    share, preprocessing = measurement.float_share, measurement.preprocessing
    if share.is_beyond_limit:
        weights, multiplications = 100.0 * share.weight_fraction, 100.0 * share.mac_fraction
        yield (
            f"{weights:.0f} % of the weights and {multiplications:.0f} % of the multiplications stayed in float, "
            "more than a tenth: this is not the network that will run, unless they stay in float there too"
        )
    if preprocessing is not None and preprocessing.is_doubtful:
        yield "the inputs do not seem to be prepared as in training; qdiag sqnr says why"
    if chance := chance_words(measurement):
        yield f"{chance}: check the labels and their order"
    lost = [
        f"{o.name} ({o.weakest_sqnr_db:.1f} dB)" for o in lost_outputs(Score(measurement.outputs, measurement.task))
    ]
    if lost:
        yield f"the SQNR of these outputs is below {SQNR_LIMIT_DB:g} dB, a proxy for harm: {', '.join(lost)}"


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
