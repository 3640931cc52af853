"""Thresholds on SQNR: of the output, and of every layer alone."""

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase

from qdiag.core.gate import WEAKEST_AT_MOST, GateCheck, LayerFigure
from qdiag.core.measures.measurement import Measurement, counts_parts, weakest_output
from qdiag.core.measures.records import OpRecord
from qdiag.core.thresholds import Allowance, Limit, Thresholds
from qdiag.gate.evidence import GateEvidence, quantized_records, without_power
from qdiag.gate.figures import cannot_judge
from qdiag.gate.verdict import held, lower_status


def sqnr_checks(evidence: GateEvidence, thresholds: Thresholds) -> Iterator[GateCheck]:
    """The output's, then one for each quantized layer in graph order."""
    limit = thresholds.min_sqnr_db
    if limit.is_set:
        value = evidence.output_sqnr_db
        status = lower_status(value, None, limit)
        silent = without_power(evidence.measurement)
        if silent:
            yield cannot_judge("min_sqnr", "dB", limit, f"the float network gives nothing but zeros at {silent[0]}")
        elif status == "cannot_judge":
            yield cannot_judge("min_sqnr", "dB", limit, "the network has no float output")
        else:
            reason = _weakest_part(evidence.measurement)
            yield GateCheck("min_sqnr", status, "dB", held(limit.fail), held(limit.warn), value, reason=reason)
    if thresholds.min_layer_sqnr_db.is_set:
        yield from _layer_checks(evidence.measurement, thresholds)


def _weakest_part(measurement: Measurement) -> str:
    """Where the figure is that of a part of an output, which one; empty otherwise."""
    output = weakest_output(measurement.outputs) if counts_parts(measurement.task) else None
    return f"{output.weakest.name} of {output.name}" if output is not None and output.weakest is not None else ""


def layer_limit(layer: str, limit: Limit, allow: tuple[Allowance, ...]) -> tuple[Limit, str | None]:
    """The limit of one layer, and the pattern that set it; an allowance replaces both levels by its own.

    The longest pattern that matches counts, so that an exception needs no place in an order.
    """
    fitting = [allowance for allowance in allow if fnmatchcase(layer, allowance.pattern)]
    if not fitting:
        return limit, None
    longest = max(fitting, key=lambda allowance: len(allowance.pattern))
    if limit.fail is None:
        return Limit(warn=longest.min_sqnr_db), longest.pattern
    return Limit(fail=longest.min_sqnr_db), longest.pattern


def unmatched_allowances(measurement: Measurement, allow: tuple[Allowance, ...]) -> tuple[str, ...]:
    """Patterns that name no quantized layer: the layer was renamed, or the pattern is misspelt."""
    names = [record.name for record in quantized_records(measurement)]
    return tuple(a.pattern for a in allow if not any(fnmatchcase(name, a.pattern) for name in names))


def weakest_layers(measurement: Measurement, baseline_db: dict[str, float]) -> tuple[LayerFigure, ...]:
    """Quantized layers, lowest local SQNR first, with the figure of the baseline."""
    figures = [
        LayerFigure(
            record.name,
            record.local.sqnr_db,
            record.propagated.sqnr_db,
            baseline_db.get(record.name, float("nan")),
        )
        for record in quantized_records(measurement)
        if record.local.count
    ]
    return tuple(sorted(figures, key=lambda figure: figure.local_db)[:WEAKEST_AT_MOST])


def _layer_checks(measurement: Measurement, thresholds: Thresholds) -> Iterator[GateCheck]:
    for record in quantized_records(measurement):
        limit, pattern = layer_limit(record.name, thresholds.min_layer_sqnr_db, thresholds.allow)
        value = record.local.sqnr_db
        status = lower_status(value, None, limit)
        reason = f"allowed by {pattern}" if pattern else "no finite value" if status == "cannot_judge" else ""
        if _is_silent(record) and limit.fail != -math.inf:
            status, reason = "cannot_judge", f"nothing but zeros: `allow='{record.name}=-inf'` leaves it out"
        yield GateCheck(
            "min_layer_sqnr",
            status,
            "dB",
            held(limit.fail),
            held(limit.warn),
            value,
            layer=record.name,
            places=(record.name,),
            reason=reason,
        )
    if thresholds.min_layer_sqnr_db.fail is not None and all(
        layer_limit(record.name, thresholds.min_layer_sqnr_db, thresholds.allow)[0].fail == -math.inf
        for record in quantized_records(measurement)
    ):
        reason = "every quantized layer is exempt"
        yield cannot_judge("min_layer_sqnr", "dB", thresholds.min_layer_sqnr_db, reason)


def _is_silent(record: OpRecord) -> bool:
    """Its output is zero in the float network, on every sample."""
    return bool(record.local.count) and record.local.reference_sq_sum == 0.0
