import io
import math
from dataclasses import replace

import pandas as pd
import pytest

from qdiag.core.measures.records import LayerErrorSums
from qdiag.writers.csv.layers import layer_csv, range_csv
from tests.measurements import awkward_measurement, measurement, range_report, small_records, sums


def test_one_row_per_layer_in_graph_order() -> None:
    frame = pd.read_csv(io.StringIO(layer_csv(measurement())))
    assert list(frame["layer"]) == [record.name for record in small_records()]
    weak = frame.set_index("layer").loc["blocks.0.dw"]
    assert weak["local_sqnr_db"] == pytest.approx(4.1)
    assert weak["drop_db"] == pytest.approx(32.0)
    assert weak["op"] == "conv 3x3 dw + relu6"
    assert weak["weight_channel_median_sqnr_db"] == pytest.approx(11.2)
    assert "weight_loss_sqnr_db" not in frame


def test_what_does_not_apply_is_missing_and_infinity_stays_infinite() -> None:
    frame = pd.read_csv(io.StringIO(layer_csv(awkward_measurement()))).set_index("layer")
    assert frame.loc["blocks.0.pw", "local_sqnr_db"] == math.inf
    assert frame.loc["blocks.0.dw", "local_sqnr_db"] == -math.inf
    assert math.isnan(frame.loc["input:x", "local_sqnr_db"])
    assert math.isnan(frame.loc["softmax", "scale"])
    assert frame.loc["softmax", "float_reason"] == "left in float by float_layers"


def test_losses_get_columns_when_they_were_measured() -> None:
    frame = pd.read_csv(io.StringIO(layer_csv(measurement(small_records(with_losses=True))))).set_index("layer")
    assert frame.loc["stem.conv", "weight_loss_sqnr_db"] == pytest.approx(30.0)
    assert frame.loc["stem.conv", "saturation_loss_sqnr_db"] == math.inf
    assert math.isnan(frame.loc["pool", "weight_loss_sqnr_db"])


def test_ranges_hold_weights_and_activations() -> None:
    frame = pd.read_csv(io.StringIO(range_csv(range_report())))
    assert list(frame["role"].unique()) == ["activation", "weight"]
    wide = frame[(frame["layer"] == "blocks.0.dw") & (frame["role"] == "weight")].iloc[0]
    assert (wide["min"], wide["max"], wide["channel_count"]) == (-30.0, 30.0, 2)
    assert {"p0.01", "p50", "p99.99"} <= set(frame.columns)


def test_layers_that_were_measured_on_some_samples_say_on_how_many() -> None:
    first, *others = small_records()
    few = replace(first, on_fewer=LayerErrorSums(sums(21.0), sums(22.0)))
    found = replace(measurement((few, *others)), layer_sample_count=64)
    frame = pd.read_csv(io.StringIO(layer_csv(found)))
    assert list(frame["sample_count"]) == [found.data.measured_count] + [64] * len(others)
    assert frame.loc[0, "on_fewer_local_sqnr_db"] == pytest.approx(21.0)
    assert frame.loc[0, "on_fewer_propagated_sqnr_db"] == pytest.approx(22.0)
    assert frame["on_fewer_local_sqnr_db"].isna().sum() == len(others)
    assert "sample_count" not in pd.read_csv(io.StringIO(layer_csv(measurement())))
