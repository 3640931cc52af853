"""Layers of a diagnosis as CSV: the columns of `qdiag sqnr --csv`, and beside them causes, ranges and sensitivity."""

from collections.abc import Sequence

import pandas as pd

from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.csv.layers import layer_frame
from qdiag.writers.csv.text import csv_text, known


def diagnosis_layer_frame(diagnosis: Diagnosis) -> pd.DataFrame:
    """One row per layer in graph order; what does not apply or was not measured is missing."""
    frame = layer_frame(diagnosis.measurement)
    names = [record.name for record in diagnosis.measurement.records]
    ranking = diagnosis.ranking
    frame["causes"] = _codes(names, [(cause.code, cause.layers) for cause in ranking.claimed])
    frame["findings"] = _codes(names, [(finding.code, finding.layers) for finding in ranking.findings])
    facts = {own.layer: own for own in diagnosis.facts}
    columns = [facts.get(name) for name in names]
    weights = [own.weight if own is not None else None for own in columns]
    measured = [own.measured_range if own is not None else None for own in columns]
    calibrated = [record.range for record in diagnosis.measurement.records]
    frame["mac_count"] = [own.mac_count if own else None for own in columns]
    frame["weight_min"] = [min(w.channel_min, default=None) if w else None for w in weights]
    frame["weight_max"] = [max(w.channel_max, default=None) if w else None for w in weights]
    frame["weight_kurtosis"] = [known(w.kurtosis) if w else None for w in weights]
    frame["calibrated_min"] = [r.min if r else None for r in calibrated]
    frame["calibrated_max"] = [r.max if r else None for r in calibrated]
    frame["measured_min"] = [r.min if r else None for r in measured]
    frame["measured_max"] = [r.max if r else None for r in measured]
    frame["channel_shift_fraction"] = [known(own.mean_shift_fraction) if own else None for own in columns]
    frame["saturated_at_bound_fraction"] = [known(own.saturated_at_bound_fraction) if own else None for own in columns]
    repaired = diagnosis.repaired_network
    if repaired is not None:
        after = {record.name: record for record in repaired.records}
        frame["repaired_local_sqnr_db"] = [known(r.local.sqnr_db) if (r := after.get(name)) else None for name in names]
        frame["repaired_propagated_sqnr_db"] = [
            known(r.propagated.sqnr_db) if (r := after.get(name)) else None for name in names
        ]
        whole = diagnosis.measurement.data.measured_count
        frame["repaired_sample_count"] = [
            (repaired.sample_count if r.on_fewer is None else whole) if (r := after.get(name)) else None
            for name in names
        ]
    if diagnosis.sensitivity is not None:
        rows = {row.layer: row for row in diagnosis.sensitivity.rows}
        for kind in ("alone", "all_but"):
            scores: list[Score | None] = [getattr(rows.get(name), kind, None) for name in names]
            frame[f"{kind}_output_sqnr_db"] = [known(s.output_sqnr_db) if s else None for s in scores]
            frame[f"{kind}_task_value"] = [known(s.task_value) if s else None for s in scores]
            frame[f"{kind}_sample_count"] = [s.task.sample_count if s else None for s in scores]
        frame["fisher"] = [known(rows[name].fisher) if name in rows else None for name in names]
    return frame


def diagnosis_layer_csv(diagnosis: Diagnosis) -> str:
    """`diagnosis_layer_frame` as text; infinite values are `inf`, missing ones are empty."""
    return csv_text(diagnosis_layer_frame(diagnosis))


def _codes(names: Sequence[str], groups: Sequence[tuple[str, tuple[str, ...]]]) -> list[str]:
    """Codes that name each layer, once each, in order of rank, separated by blanks."""
    return [" ".join(dict.fromkeys(code for code, layers in groups if name in layers)) for name in names]
