"""The few figures by which a reader compares two diagnoses at a glance."""

import math
from dataclasses import dataclass

from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.html.filters import amount, signed
from qdiag.writers.html.view import float_percent
from qdiag.writers.words.layer_row import layer_rows, weakest
from qdiag.writers.words.numbers import task_noun


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One figure of both, as text."""

    label: str
    before: str
    after: str
    change: str


def comparison(before: Diagnosis, after: Diagnosis) -> tuple[ComparisonRow, ...]:
    """Rows for what both know."""
    rows = []
    if before.ranking.task_kind == after.ranking.task_kind != "none":
        noun = task_noun(before.ranking.task_kind)
        scores = before.ranking.before, after.ranking.before
        if before.ranking.task_kind == "top1":
            rows.append(_row(f"Float {noun}", float_percent(scores[0]), float_percent(scores[1]), "%", "pp"))
        rows.append(_row(f"Quantized {noun}", scores[0].task_percent, scores[1].task_percent, "%", "pp"))
    output = before.ranking.before.output_sqnr_db, after.ranking.before.output_sqnr_db
    rows.append(_row("Output SQNR", *output, "dB", "dB"))
    rows.append(_row("Weakest layer, local SQNR", _weakest_db(before), _weakest_db(after), "dB", "dB"))
    claimed = len(before.ranking.claimed), len(after.ranking.claimed)
    change = "none" if claimed[0] == claimed[1] else signed(claimed[1] - claimed[0]).removesuffix(".0")
    rows.append(ComparisonRow("Proved causes", str(claimed[0]), str(claimed[1]), change))
    return tuple(row for row in rows if row is not None)


def _row(label: str, before: float, after: float, unit: str, change_unit: str) -> ComparisonRow | None:
    if math.isnan(before) and math.isnan(after):
        return None
    change = f"{signed(after - before)} {change_unit}" if math.isfinite(after - before) else ""
    return ComparisonRow(label, amount(before, unit), amount(after, unit), change)


def _weakest_db(diagnosis: Diagnosis) -> float:
    row = weakest(layer_rows(diagnosis.measurement.records))
    return row.local_db if row else math.nan
