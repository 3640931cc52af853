"""What a gate is given, and whether anything can be said on it at all."""

import math
from dataclasses import dataclass

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import Harm, Ranking
from qdiag.core.listed import listed
from qdiag.core.measures.change import same_criterion
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.measurement import Measurement, lowest_sqnr_db
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.task import Figure

_NAMES_AT_MOST = 3
_SAME_DB = 0.05
"""Errors of two passes over the same samples that differ by less are one error."""


@dataclass(frozen=True, slots=True)
class GateEvidence:
    """A stored result.

    Attributes:
        source: where it was read from.
        ranking: None when only a measurement was stored: findings and causes then cannot be judged.
        commands: what repairs the claimed causes, ready for a shell.
    """

    source: str
    measurement: Measurement
    ranking: Ranking | None = None
    commands: tuple[str, ...] = ()

    @property
    def output_sqnr_db(self) -> float:
        """Of the output that lost most, see `lowest_sqnr_db`; NaN without one, or when one of them is undefined."""
        outputs = self.measurement.outputs
        if any(math.isnan(output.error.sqnr_db) for output in outputs):
            return math.nan
        return lowest_sqnr_db(outputs, self.measurement.task)


def quantized_records(measurement: Measurement) -> tuple[OpRecord, ...]:
    """Layers with a quantizer of their own, or a quantized weight."""
    return tuple(record for record in measurement.records if record.is_quantized)


def why_contradictory(evidence: GateEvidence) -> str | None:
    """What a stored result says in two places in two ways; None when it agrees with itself.

    Of single values, `qdiag.core.contradictions` has been asked when they were read.
    """
    measurement, ranking = evidence.measurement, evidence.ranking
    names = {record.name for record in measurement.records}
    if [record.index for record in measurement.records] != list(range(len(measurement.records))):
        return "records are missing, or stand in another order than their index says"
    missing = [name for record in measurement.records for name in record.inputs if name not in names]
    if missing:
        return f"the record of {missing[0]} is missing, which another one reads"
    if measurement.data.measured_count != measurement.task.sample_count:
        return (
            f"{measurement.data.measured_count} samples were measured, and the task counts "
            f"{measurement.task.sample_count}"
        )
    return _why_ranking_contradicts(measurement, ranking, names) if ranking is not None else None


def _why_ranking_contradicts(measurement: Measurement, ranking: Ranking, names: set[str]) -> str | None:
    task, before = measurement.task, ranking.before.task
    if task.sample_count != before.sample_count or not _same_figures(task.figures, before.figures):
        return "the ranking starts from other counts than were measured"
    if [output.name for output in ranking.before.outputs] != [output.name for output in measurement.outputs]:
        return "the ranking starts from other outputs than were measured"
    harm, own_harm = ranking.harm, harm_of(ranking.before)
    if harm.criterion != own_harm.criterion:
        named = harm.criterion.name if harm.criterion is not None else "the SQNR of the outputs"
        return f"the ranking judges by {named}, which is not what the measurement is judged by"
    if not _same_harm(harm, own_harm):
        return "the ranking says of the harm what the measured figure does not"
    for own, other in zip(ranking.before.outputs, measurement.outputs, strict=True):
        if not _same_error(own.error, other.error) and not _nonfinite(own.error):
            return f"the ranking starts from another error at {own.name} than was measured"
    unknown = [layer for cause in ranking.claimed for layer in cause.layers if layer not in names]
    if unknown:
        return f"a cause is claimed at {unknown[0]}, which has no record"
    return None


def without_power(measurement: Measurement) -> tuple[str, ...]:
    """Outputs of the float network that are zero wherever they were looked at: nothing can be lost there."""
    return tuple(o.name for o in measurement.outputs if o.error.count and o.error.reference_sq_sum == 0.0)


def why_unusable(measurement: Measurement) -> str | None:
    """Why no threshold at all can be judged on this result; None when it can serve.

    NaN and Inf in float layers are let pass where both networks have equally many, as behind the mask of an attention;
    at a quantizer or at an output they are not.
    """
    if not measurement.data.measured_count or not measurement.records:
        return "nothing was measured"
    if not quantized_records(measurement):
        return "nothing is quantized"
    silent = without_power(measurement)
    if silent and len(silent) == len(measurement.outputs):
        return f"the float network gives nothing but zeros at {', '.join(silent[:_NAMES_AT_MOST])}"
    if measurement.outputs and all(output.is_constant for output in measurement.outputs):
        names = [output.name for output in measurement.outputs]
        return f"the float network gives the same for every sample at {listed(names, _NAMES_AT_MOST)}"
    places = [f"output {output.name}" for output in measurement.outputs if _nonfinite(output.error)]
    quantized = {record.name for record in quantized_records(measurement)}
    for record in measurement.records:
        differs = any(
            s.reference_nonfinite_count != s.simulated_nonfinite_count for s in (record.local, record.propagated)
        )
        if differs or (record.name in quantized and (_nonfinite(record.local) or _nonfinite(record.propagated))):
            places.append(record.name)
    if places:
        return f"NaN or Inf in {listed(places, _NAMES_AT_MOST)}"
    return None


def why_no_metric(measurement: Measurement) -> str | None:
    """Why nothing can be said about the figure that judges; None when it can."""
    if measurement.task.judged is None:
        return _why_no_answers(measurement) or "the SQNR of the outputs judges, and no figure: `min_sqnr` limits it"
    return _why_no_answers(measurement)


def why_no_accuracy(measurement: Measurement) -> str | None:
    """Why nothing can be said about the share of right answers; None when it can."""
    task, reason = measurement.task, _why_no_answers(measurement)
    if reason is not None or task.accuracy is not None:
        return reason
    reason = "no labels, or no output whose answers could be held against them"
    return reason if task.judged is None else f"{reason}; `max_metric_drop` limits {task.judged.criterion.name}"


def why_no_agreement(measurement: Measurement) -> str | None:
    """Why nothing can be said about answers that changed; None when it can."""
    reason = _why_no_answers(measurement)
    if reason is not None or measurement.task.agreement is not None:
        return reason
    return "no output gives answers that could be compared, as a classifier does"


def _why_no_answers(measurement: Measurement) -> str | None:
    if measurement.data.is_data_free:
        return "the result is data-free: drawn inputs say nothing about accuracy"
    return None if measurement.task.sample_count else "no sample was measured"


def _same_figures(own: tuple[Figure, ...], other: tuple[Figure, ...]) -> bool:
    if len(own) != len(other):
        return False
    return all(
        same_criterion(one, two)
        and (one.sample_count, one.counts) == (two.sample_count, two.counts)
        and _close(one.reference, two.reference)
        and _close(one.simulated, two.simulated)
        and _close(one.loss_interval.low, two.loss_interval.low)
        and _close(one.loss_interval.high, two.loss_interval.high)
        for one, two in zip(own, other, strict=True)
    )


def _same_harm(harm: Harm, own: Harm) -> bool:
    """The interval too: by it a network without a loss counts as healthy, or as measured on too few samples."""
    return (
        harm.verdict == own.verdict
        and _close(harm.value, own.value)
        and _close(harm.limit, own.limit)
        and _close(harm.interval.low, own.interval.low)
        and _close(harm.interval.high, own.interval.high)
    )


def _close(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-9)


def _same_error(one: ErrorSums, other: ErrorSums) -> bool:
    """Another pass over a recurrent network rounds in another order, by which single values take the next step."""
    if one == other:
        return True
    return one.count == other.count and math.isclose(one.sqnr_db, other.sqnr_db, rel_tol=0.0, abs_tol=_SAME_DB)


def _nonfinite(sums: ErrorSums) -> int:
    return sums.reference_nonfinite_count + sums.simulated_nonfinite_count
