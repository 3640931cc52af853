"""Parallel branches as CSV: one row per branch, one for the sum and one for the fused convolution of each block."""

import pandas as pd

from qdiag.core.measures.branches import Activations, BranchBlock, BranchesReport, Condition, NormFigures
from qdiag.core.measures.ranges import TensorRange
from qdiag.writers.csv.text import csv_text, known

_CHANNEL = "alpha_widest_channel"


def branch_frame(report: BranchesReport) -> pd.DataFrame:
    """In graph order; what is not known (no BatchNorm, no data, nothing quantized) is missing."""
    frame = pd.DataFrame([row for block in report.blocks for row in _rows(block)])
    return frame.astype({_CHANNEL: "Int64"}) if _CHANNEL in frame else frame


def branch_csv(report: BranchesReport) -> str:
    """`branch_frame` as text; infinite values are `inf`, missing ones are empty."""
    return csv_text(branch_frame(report))


def _rows(block: BranchBlock) -> list[dict[str, object]]:
    beta = {one.branch: one for one in block.alignment.branches} if block.alignment is not None else {}
    rows: list[dict[str, object]] = []
    for branch in block.branches:
        distance = beta.get(branch.name)
        rows.append(
            {
                **_place(block, branch.name, branch.kind),
                **_norm(branch.norm),
                **_weight(branch.weight),
                **_activations(branch.activations),
                "beta_distance": known(distance.distance) if distance is not None else None,
                "beta_correlation": known(distance.correlation) if distance is not None else None,
                "weight_sqnr_without_db": known(branch.without_sqnr_db),
                "at_fault": branch.name in {c.at_fault for c in (block.c1, block.c2) if c is not None},
            }
        )
    rows.append({**_place(block, block.name, "sum"), **_norm(block.norm), **_activations(block.sum)})
    if block.fusion is not None:
        fusion = block.fusion
        rows.append(
            {
                **_place(block, fusion.weight_name, "fused"),
                **_weight(fusion.weight),
                **_activations(block.output),
                "weight_sqnr_db": _sqnr(block.c1),
                "weight_channel_sqnr_db": known(block.weight_channel_sqnr_db),
                "weight_output_sqnr_db": known(block.weight_output_sqnr_db),
                "output_sqnr_db": _sqnr(block.c2),
                "fusion_max_abs_delta": fusion.max_abs_delta,
                "fusion_relative_delta": fusion.relative_delta,
            }
        )
    block_figures = {
        "variance_inflation": known(block.variance_inflation),
        "mse_before": block.before.mse if block.before is not None else None,
        "sqnr_before_db": block.before.sqnr_db if block.before is not None else None,
        "mse_after": block.after.mse if block.after is not None else None,
        "sqnr_after_db": block.after.sqnr_db if block.after is not None else None,
        "fusion_loss_db": known(block.fusion_loss_db),
        "refused": block.refused,
    }
    rows[-1].update(block_figures)
    return rows


def _place(block: BranchBlock, name: str, kind: str) -> dict[str, object]:
    return {"block": block.name, "branch": name, "kind": kind}


def _norm(norm: NormFigures | None) -> dict[str, object]:
    return {
        "batchnorm": norm.name if norm is not None else None,
        "alpha_max_abs": norm.gain_max_abs if norm is not None else None,
        "alpha_range": norm.gain_range if norm is not None else None,
        "alpha_std": norm.gain_std if norm is not None else None,
        _CHANNEL: norm.widest_channel if norm is not None else None,
    }


def _weight(weight: TensorRange | None) -> dict[str, object]:
    if weight is None:
        return {}
    return {"weight_min": weight.min, "weight_max": weight.max, "weight_std": weight.std}


def _activations(seen: Activations | None) -> dict[str, object]:
    if seen is None:
        return {}
    return {"output_min": seen.range.min, "output_max": seen.range.max, "output_variance": known(seen.variance_mean)}


def _sqnr(condition: Condition | None) -> float | None:
    return known(condition.sqnr_db) if condition is not None else None
