"""Folded BatchNorms and activations as CSV: one row each, units in the column names."""

import pandas as pd

from qdiag.core.measures.folding import BatchNormFold, ClampSite, FoldReport
from qdiag.writers.csv.text import csv_text, known


def fold_frame(report: FoldReport) -> pd.DataFrame:
    """BatchNorms, then activations, each in graph order; what is not known is missing."""
    return pd.DataFrame([*map(_norm, report.batchnorms), *map(_clamp, report.clamps)])


def fold_csv(report: FoldReport) -> str:
    """`fold_frame` as text; infinite values are `inf`, missing ones are empty."""
    return csv_text(fold_frame(report))


def _norm(norm: BatchNormFold) -> dict[str, object]:
    layer = norm.layer
    return {
        "kind": "batchnorm",
        "name": norm.label,
        "done": norm.is_folded,
        "reason": norm.kept,
        "layer": layer.name if layer is not None else None,
        "layer_kind": layer.kind if layer is not None else None,
        "direction": layer.direction if layer is not None else None,
        "reads": norm.reads,
        "readers": " ".join(norm.readers),
        "gain_min_abs": known(norm.gain_min_abs),
        "gain_max_abs": known(norm.gain_max_abs),
        "weight_max_abs": known(norm.weight_max_abs),
        "folded_max_abs": known(norm.folded_max_abs),
        "max_abs_delta": known(norm.max_abs_delta),
        "relative_delta": known(norm.relative_delta),
    }


def _clamp(site: ClampSite) -> dict[str, object]:
    return {
        "kind": "activation",
        "name": site.layer,
        "done": site.is_shared,
        "reason": site.reason,
        "reads": site.operation,
        "activation": site.activation,
        "bound_min": site.bounds[0] if site.bounds is not None else None,
        "bound_max": site.bounds[1] if site.bounds is not None else None,
        "range_min": site.quantizer.range_min if site.quantizer is not None else None,
        "range_max": site.quantizer.range_max if site.quantizer is not None else None,
        "range_before_min": site.between.range_min if site.between is not None else None,
        "range_before_max": site.between.range_max if site.between is not None else None,
        "step_over_shared": known(site.step_over_shared),
        "clamp_is_free": site.is_free,
    }
