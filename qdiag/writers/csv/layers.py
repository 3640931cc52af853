"""Layers as CSV: one row per layer in graph order, units in the column names."""

from collections.abc import Mapping

import pandas as pd

from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.ranges import PERCENTILES
from qdiag.core.measures.records import LOSSES, OpRecord
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.reading.words.layer_row import LayerRow, layer_rows
from qdiag.reading.words.layers import op_words
from qdiag.writers.csv.operand_formats import operand_formats
from qdiag.writers.csv.text import csv_text


def layer_frame(measurement: Measurement) -> pd.DataFrame:
    """One row per layer; figures that do not apply (no weight, layer in float) are missing."""
    by_name = {record.name: record for record in measurement.records}
    rows = layer_rows(measurement.records)
    frame = pd.DataFrame(
        [{**_columns(row), "op": op_words(row.record), **_formats(measurement, row.record, by_name)} for row in rows]
    )
    few, whole = measurement.layer_sample_count, measurement.data.measured_count
    if few is not None:
        of_few = [row.record.on_fewer for row in rows]
        frame["sample_count"] = [few if own is None else whole for own in of_few]
        frame["on_fewer_local_sqnr_db"] = [own.local.sqnr_db if own else None for own in of_few]
        frame["on_fewer_propagated_sqnr_db"] = [own.propagated.sqnr_db if own else None for own in of_few]
    if any(record.arithmetic is not None for record in measurement.records):
        frame["arithmetic_sqnr_db"] = [
            own.sqnr_db if (own := row.record.arithmetic) is not None else None for row in rows
        ]
    has_losses = any(record.losses is not None for record in measurement.records)
    for name in LOSSES if has_losses else ():
        frame[f"{name}_loss_sqnr_db"] = [
            losses.by_name[name].sqnr_db if (losses := row.record.losses) is not None else None for row in rows
        ]
    return frame


def layer_csv(measurement: Measurement) -> str:
    """`layer_frame` as text; infinite values are `inf`, missing ones are empty."""
    return csv_text(layer_frame(measurement))


def _columns(row: LayerRow) -> dict[str, object]:
    record, weight, quantizer = row.record, row.record.weight, row.record.quantizer
    return {
        "index": record.index,
        "layer": record.name,
        "kind": record.kind,
        "op": "",
        "module_path": record.module_path,
        "inputs": " ".join(record.inputs),
        "output_shape": "x".join(map(str, record.output_shape)),
        "weight_shape": "x".join(map(str, weight.shape)) if weight else None,
        "weight_sqnr_db": weight.error.sqnr_db if weight else None,
        "weight_channel_median_sqnr_db": weight.channel_sqnr_db_median if weight else None,
        "weight_channel_min_sqnr_db": weight.channel_sqnr_db_min if weight else None,
        "local_sqnr_db": row.local_db,
        "propagated_sqnr_db": row.propagated_db,
        "drop_db": row.drop_db,
        "expected_sqnr_db": record.expected_sqnr_db,
        "local_mse": record.local.mse,
        "propagated_mse": record.propagated.mse,
        "local_max_abs_error": record.local.max_abs_error,
        "propagated_max_abs_error": record.propagated.max_abs_error,
        "local_rmse_scales": record.local_rmse_scales,
        "propagated_rmse_scales": record.propagated_rmse_scales,
        "local_cosine": record.local.cosine,
        "propagated_cosine": record.propagated.cosine,
        "local_mean_shift": record.local.mean_shift,
        "propagated_mean_shift": record.propagated.mean_shift,
        "local_bias_fraction": record.local.bias_fraction,
        "propagated_bias_fraction": record.propagated.bias_fraction,
        "clipped_fraction": record.clipped_fraction,
        "nonfinite_count": row.nonfinite_count,
        "scale": quantizer.scale if quantizer else None,
        "zero_point": quantizer.zero_point if quantizer else None,
        "range_min": quantizer.range_min if quantizer else None,
        "range_max": quantizer.range_max if quantizer else None,
        "float_reason": record.skip_reason,
    }


def _formats(measurement: Measurement, record: OpRecord, by_name: Mapping[str, OpRecord]) -> dict[str, str | None]:
    """How the layer reads what the column `inputs` names, in its order; its weight; and what it hands on."""
    found = operand_formats(measurement, record, by_name)
    return {
        "input_formats": "; ".join(found.inputs) or None,
        "weight_format": found.weight or None,
        "output_format": found.output,
    }


def range_frame(report: RangeReport) -> pd.DataFrame:
    """One row per tensor: a layer's weight before its output."""
    rows = []
    for record in report.records:
        tensor, channels = record.tensor, record.channels
        columns: dict[str, object] = {
            "layer": record.layer,
            "role": record.role,
            "count": tensor.count,
            "nonfinite_count": tensor.nonfinite_count,
            "min": tensor.min,
            "max": tensor.max,
            "mean": tensor.mean,
            "std": tensor.std,
            "kurtosis": tensor.kurtosis,
            "zero_fraction": tensor.zero_fraction,
        }
        for i, percent in enumerate(PERCENTILES):
            columns[f"p{percent:g}"] = tensor.percentiles[i] if tensor.percentiles else None
        columns["channel_count"] = len(channels.min) if channels else None
        columns["channel_spread_bits"] = channels.spread_bits if channels else None
        if report.scheme is not None:
            quantizer = record.quantizer
            columns["bits"] = quantizer.bits if quantizer else None
            columns["step_at_0"] = quantizer.step_at(0.0) if quantizer else None
            columns["range_min"] = quantizer.range_min if quantizer else None
            columns["range_max"] = quantizer.range_max if quantizer else None
            columns["median_channel_bits"] = record.median_channel_bits
        rows.append(columns)
    frame = pd.DataFrame(rows)
    return frame if report.scheme is None else frame.astype({"bits": "Int64"})


def range_csv(report: RangeReport) -> str:
    """`range_frame` as text."""
    return csv_text(range_frame(report))
