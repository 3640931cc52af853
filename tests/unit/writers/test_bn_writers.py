import io
import json
import math
from dataclasses import replace

import pandas as pd
import pytest

from qdiag.core.measures.bn import BatchNormAudit, RangeCost
from qdiag.errors import LoadError
from qdiag.reading.words.bn import channel_list, cost_sentence, costliest, dead_sentence
from qdiag.writers.csv.bn import bn_csv
from qdiag.writers.json.results import result_to_json
from qdiag.writers.plots.bn import bn_figure
from qdiag.writers.plots.drawing.figure import figure_bytes
from tests.audits import bn_audit
from tests.stored import read_back


def test_derived_figures_by_hand() -> None:
    first, second, third, fourth = bn_audit().records
    assert first.scale_channel == 1
    assert first.effective_bits[:2] == (4.0, 8.0)
    assert first.median_effective_bits == pytest.approx(3.0)  # channels 0 and 3 are live: 4 and 2 bits
    assert first.live_channels == (0, 3)
    assert first.dead_range_blowup == 16.0
    assert first.gain_median_abs == 0.5
    assert second.effective_bits[3] == -math.inf
    assert second.median_effective_bits == pytest.approx(8.0 + (math.log2(2 / 6) + math.log2(1.5 / 6)) / 2)
    assert third.scale_channel is None
    assert third.effective_bits == ()
    assert math.isnan(fourth.gain_max_abs)
    assert bn_audit().dead_count == 2
    assert replace(first, call=2).label == "blocks.0.dw_bn#2"
    assert bn_audit().record("act.bn") is not None
    with pytest.raises(KeyError):
        bn_audit().record("act")


def test_headline() -> None:
    record = costliest(bn_audit())
    assert record is not None
    assert cost_sentence(record) == "blocks.0.dw_bn: dead channel 1 alone costs the 2 live channels 4.0 bits"
    alone = replace(record, name="dw3.bn", channels=32, dead=(), range_cost=RangeCost((11,), False, 8.4, 31))
    assert cost_sentence(alone) == "dw3.bn: channel 11 alone costs the 31 other channels 8.4 bits"
    many = replace(record, channels=24, range_cost=RangeCost(tuple(range(10)), True, 6.31, 14))
    assert cost_sentence(many) == (
        "blocks.0.dw_bn: 10 dead channels (0, 1, 2, 3 and 6 more) cost the 14 other channels 6.3 bits"
    )
    assert channel_list((1, 2)) == "1, 2"


def test_summary_of_dead_channels() -> None:
    assert dead_sentence(bn_audit()) == (
        "2 dead channels in 1 BatchNorm: 1 sets the range of its layer; "
        "1 folds to weights no larger than the live ones and is harmless to the range"
    )
    healthy = replace(bn_audit(), records=bn_audit().records[1:])
    assert dead_sentence(healthy) == "no channel is dead"


def test_json_round_trip() -> None:
    text = result_to_json(bn_audit())
    assert result_to_json(read_back(BatchNormAudit, text)) == text
    assert read_back(BatchNormAudit, text).records[0] == bn_audit().records[0]
    plain = json.loads(text)
    assert plain["dead_count"] == 2
    assert plain["records"][0]["dead"][0]["sets_range"] is True
    with pytest.raises(LoadError, match="not a BatchNormAudit"):
        read_back(BatchNormAudit, "{}")


def test_csv_has_a_row_per_channel() -> None:
    frame = pd.read_csv(io.StringIO(bn_csv(bn_audit())))
    assert len(frame) == 4 + 4 + 2 + 2
    assert frame["dead"].notna().sum() == 2
    assert frame.loc[1, "range_over_live"] == 16.0
    assert frame.loc[frame["batchnorm"] == "last.bn", "gain"].isna().all()


def test_picture_marks_dead_channels_and_outliers() -> None:
    figure = bn_figure(bn_audit())
    gains, folded = figure.axes
    labels = [handle.get_label() for handle in gains.collections]
    assert labels[:4] == [
        "live channel",
        "live channel, gain outlier",
        "dead channel",
        "median of the live channels",
    ]
    dead = next(c for c in folded.collections if c.get_label() == "dead channel")
    heights = sorted(float(y) for _, y in dead.get_offsets())  # type: ignore[union-attr]
    assert heights[1] == 64.0
    assert 3e-7 < heights[0] < 0.5, "drawn at the floor, not where it would flatten the rest"
    assert [text.get_text() for text in gains.texts] == ["not known"]
    assert [text.get_text() for text in folded.texts] == ["0 or below", "not known", "not known"]


@pytest.mark.parametrize("count", [1, 100])
def test_picture_of_few_and_many(count: int) -> None:
    base = bn_audit()
    records = tuple(replace(base.records[1], name=f"b{i}.bn", index=i) for i in range(count))
    axes = bn_figure(replace(base, records=records)).axes[1]
    assert 1 <= len(axes.get_xticklabels()) <= 82
    low, high = axes.get_ylim()
    assert high / low >= 10.0


def test_nothing_to_draw_and_equal_pictures() -> None:
    empty: BatchNormAudit = replace(bn_audit(), records=())
    assert figure_bytes(bn_figure(empty), "png").startswith(b"\x89PNG")
    assert figure_bytes(bn_figure(bn_audit()), "svg") == figure_bytes(bn_figure(bn_audit()), "svg")
