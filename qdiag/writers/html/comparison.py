"""The few figures by which a reader compares two diagnoses at a glance."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.change import same_criterion
from qdiag.core.measures.task import Criterion
from qdiag.reading.words.layer_row import layer_rows, weakest
from qdiag.reading.words.size import size_rows
from qdiag.reading.words.task.figures import WEAKEST_SQNR
from qdiag.writers.html.filters import capitalize_first, signed, signed_change, value


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One figure of both, as text."""

    label: str
    before: str
    after: str
    change: str


def comparison(before: Diagnosis, after: Diagnosis) -> tuple[ComparisonRow, ...]:
    """Rows for what both know."""
    rows = [*_judged_rows(before, after)]
    output = before.ranking.before.output_sqnr_db, after.ranking.before.output_sqnr_db
    rows.append(_row(capitalize_first(WEAKEST_SQNR), *output, None))
    rows.append(_row("Weakest layer, local SQNR", _weakest_db(before), _weakest_db(after), None))
    for label, *cells in size_rows(before.measurement.size, after.measurement.size):
        rows.append(ComparisonRow(label[:1].upper() + label[1:], *cells))
    claimed = len(before.ranking.claimed), len(after.ranking.claimed)
    change = "none" if claimed[0] == claimed[1] else signed(claimed[1] - claimed[0]).removesuffix(".0")
    rows.append(ComparisonRow("Proved causes", str(claimed[0]), str(claimed[1]), change))
    return tuple(row for row in rows if row is not None)


def _judged_rows(before: Diagnosis, after: Diagnosis) -> Iterator[ComparisonRow | None]:
    """Of both networks of both, where both are judged by the same figure."""
    first, second = before.ranking.before.task.judged, after.ranking.before.task.judged
    if first is None or second is None or not same_criterion(first, second):
        return
    criterion = second.criterion
    if not criterion.is_against_float:
        yield _row(f"Float {criterion.name}", first.reference, second.reference, criterion)
    yield _row(f"Quantized {criterion.name}", first.simulated, second.simulated, criterion)


def _row(label: str, before: float, after: float, criterion: Criterion | None) -> ComparisonRow | None:
    """`None` for decibels."""
    if math.isnan(before) and math.isnan(after):
        return None
    change = signed_change(after - before, criterion) if math.isfinite(after - before) else ""
    return ComparisonRow(label, value(before, criterion), value(after, criterion), change)


def _weakest_db(diagnosis: Diagnosis) -> float:
    row = weakest(layer_rows(diagnosis.measurement.records))
    return row.local_db if row else math.nan
