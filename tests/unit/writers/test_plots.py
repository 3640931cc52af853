from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from qdiag.errors import WriteError
from qdiag.writers.plots.drawing.figure import figure_bytes, save_figure
from qdiag.writers.plots.ranges import ranges_figure
from qdiag.writers.plots.sqnr import sqnr_figure
from tests.measurements import awkward_measurement, many_records, measurement, range_report


def legend_labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_three_lines_in_graph_order_with_the_weakest_layer_named() -> None:
    axes = sqnr_figure(measurement()).axes[0]
    by_label = {line.get_label(): line for line in axes.lines}
    local = by_label["local (this layer alone)"].get_ydata()
    assert list(local)[:3] == pytest.approx([48.2, 36.1, 4.1])
    assert list(by_label["weakest layer"].get_xdata()) == [2]
    assert [text.get_text() for text in axes.texts] == ["blocks.0.dw: 4.1 dB"]
    assert "top-1 76.4 % → 9.0 %" in axes.get_title(loc="left")


def test_infinite_values_float_layers_and_data_free_are_shown_as_such() -> None:
    data_free = replace(awkward_measurement(), data=measurement(is_data_free=True).data)
    figure = sqnr_figure(data_free)
    assert {"infinite: no error", "-infinite: noise without signal", "left in float"} <= set(legend_labels(figure))
    assert "DATA-FREE" in figure.axes[0].get_title(loc="left")


def test_a_measurement_in_which_nothing_was_lost_or_seen_can_be_drawn() -> None:
    base = measurement()
    nothing = replace(base, records=(replace(awkward_measurement().records[0], quantizer=None),))
    assert figure_bytes(sqnr_figure(nothing), "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("count", [1, 12, 300])
def test_labels_stay_readable_at_any_depth(count: int) -> None:
    axes = sqnr_figure(measurement(many_records(count))).axes[0]
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert 1 <= len(labels) <= 82
    assert max(map(len, labels)) <= 26


@pytest.mark.parametrize("format_", ["png", "svg"])
def test_equal_measurements_give_equal_pictures(format_: str) -> None:
    first, second = (figure_bytes(sqnr_figure(measurement()), format_) for _ in range(2))  # type: ignore[arg-type]
    assert first == second


def test_ranges_are_drawn_for_weights_and_outputs() -> None:
    figure = ranges_figure(range_report())
    assert [axes.get_ylabel() for axes in figure.axes] == ["weights", "outputs"]
    assert legend_labels(figure)[:2] == ["min to max", "median"]


def test_only_png_and_svg_are_written(tmp_path: Path) -> None:
    save_figure(ranges_figure(range_report()), tmp_path / "ranges.svg")
    assert "<svg" in (tmp_path / "ranges.svg").read_text(encoding="utf-8")
    with pytest.raises(WriteError, match="plots are written as"):
        save_figure(Figure(), tmp_path / "ranges.pdf")
    assert [p.name for p in tmp_path.iterdir()] == ["ranges.svg"]


def test_only_what_passes_from_layer_to_layer_is_a_line() -> None:
    axes = sqnr_figure(measurement()).axes[0]
    styles = {line.get_label(): line.get_linestyle() for line in axes.lines}
    assert styles["local (this layer alone)"] == "None"
    assert styles["propagated (all before it too)"] == "-"


def test_what_is_all_but_exact_does_not_press_the_others_together() -> None:
    """And what arrives is drawn from the layers that feed one."""
    base = measurement()
    records = list(base.records)
    exact = replace(records[1].local, error_sq_sum=records[1].local.reference_sq_sum * 1e-14)
    records[1] = replace(records[1], local=exact)
    records[3] = replace(records[3], inputs=(records[0].name, records[2].name))
    figure = sqnr_figure(replace(base, records=tuple(records)))
    axes = figure.axes[0]
    assert axes.get_ylim()[1] < 100
    assert "exact, or all but exact" in legend_labels(figure)
    arrivals = next(line for line in axes.lines if str(line.get_label()).startswith("propagated"))
    ends = list(arrivals.get_xdata())
    edges = {(ends[i], ends[i + 1]) for i in range(0, len(ends), 3)}
    assert {(0, 3), (2, 3)} <= edges
