"""Structure of the pictures: labels, units, number of points. What they look like is looked at, not tested."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.records import LOSSES
from qdiag.writers.plots.bits import bits_figure
from qdiag.writers.plots.channels import channels_figure
from qdiag.writers.plots.drawing.figure import figure_bytes, settle_layout
from qdiag.writers.plots.drawing.frame import legend_below, new_figure
from qdiag.writers.plots.histogram import histogram_figure
from qdiag.writers.plots.losses import losses_figure
from qdiag.writers.plots.mse import mse_figure
from qdiag.writers.plots.pictures import report_pictures
from qdiag.writers.plots.sensitivity import sensitivity_figure
from qdiag.writers.plots.waterfall import waterfall_bars, waterfall_figure
from tests.diagnoses import awkward_diagnosis, diagnosis, healthy_diagnosis, long_diagnosis, unlabelled_diagnosis
from tests.diagnosis_parts import DEAD
from tests.measurements import measurement, range_report
from tests.other_tasks import judged_by_error, judged_by_sqnr

KINDS: dict[str, Callable[[], Diagnosis]] = {
    "harmed": diagnosis, "healthy": healthy_diagnosis, "awkward": awkward_diagnosis,
    "error": lambda: judged_by_error(diagnosis()), "sqnr": lambda: judged_by_sqnr(diagnosis()),
}  # fmt: skip
ONE_LAYER = ("healthy", "error", "sqnr")
"""Networks of which one layer is drawn: it is drawn as those of `harmed` are, which has every kind of layer."""


def legend_labels(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def title_of(figure: Figure) -> str:
    return figure.get_suptitle()


def test_mse_has_a_point_per_layer_with_noise_and_a_log_axis() -> None:
    found = diagnosis().measurement
    axes = mse_figure(found).axes[0]
    assert [line.get_linestyle() for line in axes.lines[:1]] == ["None"], "what a layer adds is a point of its own"
    local, propagated = axes.lines[0].get_ydata(), axes.lines[2].get_ydata()
    joined = axes.lines[3].get_xdata()
    assert len(joined) == 3 * sum(len(record.inputs) for record in found.records), "a line from each that feeds one"
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "MSE [output units²], lower is better"
    assert sum(not math.isnan(value) for value in local) == len(found.records) - 1  # the softmax stays in float
    assert sum(not math.isnan(value) for value in propagated) == len(found.records)
    assert local[2] == pytest.approx(found.records[2].local.mse)


def test_mse_shows_what_is_zero_and_what_is_not_finite() -> None:
    labels = legend_labels(mse_figure(awkward_diagnosis().measurement))
    assert {"0: no error", "nothing finite", "left in float"} <= set(labels)


def test_losses_are_stacked_to_100_percent_and_their_sum_is_shown_against_the_noise() -> None:
    found = diagnosis().measurement
    figure = losses_figure(found)
    above, below = figure.axes
    count = sum(record.losses is not None for record in found.records)
    tops = [patch.get_y() + patch.get_height() for patch in above.patches[-count:]]
    assert tops == pytest.approx([100.0] * count)
    assert legend_labels(figure) == list(LOSSES)
    assert len(below.lines[1].get_xdata()) == count
    assert "do not add up exactly" in title_of(figure)


def test_losses_that_a_layer_cannot_have_leave_the_others_their_ratio() -> None:
    """Sums in float do not saturate: that loss is NaN, and the other four make the sum."""
    found = diagnosis().measurement
    records = tuple(
        replace(r, losses=replace(r.losses, saturation=ErrorSums())) if r.losses is not None else r
        for r in found.records
    )
    count = sum(record.losses is not None for record in records)
    figure = losses_figure(replace(found, records=records))
    assert len(figure.axes[1].lines[1].get_xdata()) == count and legend_labels(figure) == list(LOSSES)
    silent = tuple(replace(r, local=replace(r.local, error_sq_sum=0.0)) if r.losses is not None else r for r in records)
    figure = losses_figure(replace(found, records=silent))
    assert legend_labels(figure) == [*LOSSES, "no ratio: without noise, or not finite"]


def test_losses_that_were_not_measured_are_said_to_be_so() -> None:
    assert [text.get_text() for text in losses_figure(measurement()).texts][-1].startswith("not measured")


def test_channels_mark_those_with_a_finding_and_the_values_that_vanish() -> None:
    figure = channels_figure(diagnosis(), "blocks.5.dw")
    axes = figure.axes[0]
    sizes = sorted(len(collection.get_segments()) for collection in axes.collections)  # type: ignore[attr-defined]
    assert sizes == [len(DEAD["blocks.5.dw"]), 16 - len(DEAD["blocks.5.dw"])]
    assert axes.get_yscale() == "symlog"
    assert "channel with a finding" in legend_labels(figure)
    assert any(label.startswith("rounds to 0 (step") for label in legend_labels(figure))


def test_no_tick_lies_between_zero_and_the_first_power_of_ten() -> None:
    """Labels around zero would lie on one another."""
    axes = channels_figure(diagnosis(), "blocks.5.dw").axes[0]
    linear = axes.yaxis.get_transform().linthresh  # type: ignore[attr-defined]
    ticks = sorted(axes.get_yticks())
    assert 0.0 in ticks and 3 <= len(ticks) <= 13
    assert all(abs(tick) >= linear * (1.0 - 1e-9) for tick in ticks if tick)
    assert len(axes.yaxis.get_minorticklocs()) == 0


def test_channels_are_said_to_be_folded_where_they_are() -> None:
    found = diagnosis()
    capture = replace(found.measurement.capture, folded_batchnorms=())
    unfolded = replace(found, measurement=replace(found.measurement, capture=capture))
    labels = [channels_figure(one, "blocks.5.dw").axes[0].get_ylabel() for one in (found, unfolded)]
    assert labels == ["weight, BatchNorm folded", "weight"]


def test_channels_with_scales_of_their_own_have_no_common_step() -> None:
    found = diagnosis()
    records = tuple(
        replace(record, weight=replace(record.weight, granularity="per_channel") if record.weight else None)
        for record in found.measurement.records
    )
    figure = channels_figure(replace(found, measurement=replace(found.measurement, records=records)), "blocks.1.dw")
    assert not any("rounds to 0" in label for label in legend_labels(figure))


def test_the_histogram_has_a_tick_per_step_and_both_limits() -> None:
    found = diagnosis()
    figure = histogram_figure(found, "blocks.1.dw")
    quantizer = found.measurement.record("blocks.1.dw").quantizer
    assert quantizer is not None
    axes = figure.axes[0]
    xs = {tuple(line.get_xdata()) for line in axes.lines}
    assert {(quantizer.range_min,) * 2, (quantizer.range_max,) * 2} <= xs
    grid = max(axes.lines, key=lambda line: len(line.get_xdata()))
    assert len(grid.get_xdata()) == 3 * 256
    assert "256 steps of" in " ".join(legend_labels(figure))
    assert axes.get_xlabel() == "output value"


def test_the_waterfall_adds_up_from_quantized_to_float() -> None:
    bars = waterfall_bars(diagnosis().ranking)
    assert [bar.kind for bar in bars] == ["level", "step", "step", "rest", "level"]
    assert bars[0].end + sum(bar.length for bar in bars[1:-1]) == pytest.approx(bars[-1].end)
    assert [round(bar.end, 1) for bar in bars] == [9.0, 65.4, 74.8, 76.4, 76.4]
    assert waterfall_figure(diagnosis()).axes[0].get_xlabel() == "top-1 [%]"


def test_without_labels_the_waterfall_ends_at_full_agreement() -> None:
    bars = waterfall_bars(unlabelled_diagnosis().ranking)
    assert bars[-1].end == pytest.approx(100.0)
    assert waterfall_figure(unlabelled_diagnosis()).axes[0].get_xlabel() == "agreement with the float network [%]"


def test_without_a_task_the_waterfall_is_in_decibels_and_has_no_end() -> None:
    found = judged_by_sqnr(diagnosis())
    bars = waterfall_bars(found.ranking)
    assert [bar.kind for bar in bars] == ["level", "step", "step"]
    assert bars[-1].end == pytest.approx(17.8)
    figure = waterfall_figure(found)
    assert figure.axes[0].get_xlabel() == "weakest output SQNR [dB]"


def test_an_error_falls_in_the_waterfall_and_its_axes_have_its_unit() -> None:
    found = judged_by_error(diagnosis())
    bars = waterfall_bars(found.ranking)
    assert [round(bar.end, 3) for bar in bars] == [0.91, 0.346, 0.252, 0.236, 0.236]
    assert not any(bar.is_loss for bar in bars)
    interval = bars[1].interval
    assert interval is not None and interval.low < bars[1].length < interval.high < 0.0
    turned = replace(found.ranking, waterfall=found.ranking.waterfall[::-1])
    assert [bar.is_loss for bar in waterfall_bars(turned)] == [False, False, True, False, False]
    assert waterfall_figure(found).axes[0].get_xlabel() == "depth error [m]"
    error, _ = bits_figure(found).axes
    assert error.get_ylabel() == "depth error [m]"
    assert {"float: 0.236 m", "95 % interval of the rise"} <= set(legend_labels(bits_figure(found)))
    assert found.sensitivity is not None
    figure = sensitivity_figure(found.sensitivity)
    assert "costs [m of depth error]" in figure.axes[1].get_ylabel()
    assert figure.axes[3].get_ylim()[1] > 0.02, "an axis of less than twice the limit makes noise a mountain"


def test_sensitivity_has_a_bar_per_layer_and_panel_and_marks_the_worst() -> None:
    sweep = diagnosis().sensitivity
    assert sweep is not None
    figure = sensitivity_figure(sweep)
    assert [len(axes.patches) for axes in figure.axes] == [len(sweep.rows)] * 4
    bold = [t.get_text() for t in figure.axes[-1].get_xticklabels() if t.get_fontweight() == "bold"]
    assert bold == ["blocks.0.dw", "blocks.1.dw", "blocks.2.dw"]
    assert all("[" in axes.get_ylabel() for axes in figure.axes)


def test_bits_are_drawn_against_the_float_network() -> None:
    figure = bits_figure(diagnosis())
    accuracy, sqnr = figure.axes
    assert list(accuracy.lines[0].get_xdata()) == [4, 6, 8, 16]
    assert (accuracy.get_ylabel(), sqnr.get_ylabel()) == ("top-1 [%]", "weakest output SQNR [dB]")
    assert "float: 76.4 %" in legend_labels(figure)


LOOKED_AT: set[str] = set()
"""Figures that were drawn and found good, by all that is in them."""


def content(figure: Figure) -> str:
    """Size, texts, lines and areas of a figure: two that have the same are drawn the same."""
    found = [repr((tuple(figure.get_size_inches()), title_of(figure)))]
    for axes in figure.axes:
        labels = [text.get_text() for text in (*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.texts)]
        scales = (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale(), axes.get_yscale(), axes.get_xlim())
        found.append(repr((labels, scales, axes.get_ylim(), axes.get_title())))
        found += [repr((line.get_xydata().tolist(), line.get_color(), line.get_marker())) for line in axes.lines]
        found += [repr((patch.get_extents().bounds, patch.get_facecolor())) for patch in axes.patches]
        found += [repr([path.vertices for path in drawn.get_paths()]) for drawn in axes.collections]
    return "\n".join([*found, *legend_labels(figure), *(text.get_text() for text in figure.texts)])


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_of_every_diagnosis_can_be_drawn(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind in ONE_LAYER:
        monkeypatch.setattr("qdiag.writers.plots.pictures.LAYERS_DRAWN", 1)
    pictures = report_pictures(KINDS[kind]())
    assert len({picture.name for picture in pictures}) == len(pictures)
    for picture in pictures:
        figure = picture.draw()
        assert picture.alt
        if (seen := content(figure)) in LOOKED_AT:  # of another diagnosis, which differs elsewhere
            continue
        LOOKED_AT.add(seen)
        settle_layout(figure)
        drawn = figure_bytes(figure, "svg")
        assert drawn.startswith(b"<?xml")
        assert b"mathdefault" not in drawn and b"\\gamma" not in drawn, "mathematics that nothing typesets"
        assert_inside(figure)


def assert_inside(figure: Figure) -> None:
    """Legends and names of axes are not cut off, and no name of an axis stands in the title or in the next panel."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    ends = figure.bbox
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        assert ends.x0 <= box.x0 and box.x1 <= ends.x1, f"a legend is cut off: {legend_labels(figure)}"
    names = [axes.yaxis.label.get_window_extent(renderer) for axes in figure.axes if axes.get_ylabel()]
    title_box = figure._suptitle.get_window_extent(renderer) if figure._suptitle is not None else None  # type: ignore[attr-defined]
    for box in names:
        assert ends.y0 <= box.y0 and box.y1 <= ends.y1
        assert title_box is None or box.y1 <= title_box.y0 or box.x0 > title_box.x1
    for above, below in pairwise(names):
        assert below.y1 <= above.y0 or below.x0 > above.x1


@pytest.mark.parametrize("length", [4, 12, 40])
def test_names_of_any_length_leave_the_panels_their_room(length: int) -> None:
    sweep = diagnosis().sensitivity
    assert sweep is not None
    rows = tuple(replace(row, layer=f"{i:0{length}d}") for i, row in enumerate(sweep.rows))
    figure = sensitivity_figure(replace(sweep, rows=rows))
    settle_layout(figure)
    assert_inside(figure)
    assert min(axes.get_window_extent().height for axes in figure.axes) / figure.dpi > 0.9


def test_a_legend_has_as_many_columns_as_fit() -> None:
    figure = new_figure(9.0, 2.0)
    figure.add_subplot()
    for count, words, columns in ((2, "short", 2), (6, "x" * 30, 3), (6, "x" * 90, 1)):
        legend = legend_below(figure, [Patch(label=words) for _ in range(count)])
        assert legend is not None and legend._ncols == columns  # type: ignore[attr-defined]


def test_sensitivity_explains_the_signs_that_are_drawn_and_no_others() -> None:
    sweep = diagnosis().sensitivity
    assert sweep is not None
    rows = (replace(sweep.rows[0], alone=None), *sweep.rows[1:])
    labels = legend_labels(sensitivity_figure(replace(sweep, rows=rows)))
    assert "not measured or not known" in labels
    assert not [label for label in labels if "infinite" in label]


def test_labels_of_300_layers_stay_readable() -> None:
    found = long_diagnosis(300)
    assert found.sensitivity is not None
    for figure in (mse_figure(found.measurement), sensitivity_figure(found.sensitivity)):
        labels = [tick.get_text() for tick in figure.axes[-1].get_xticklabels()]
        assert 60 <= len(labels) <= 83
        assert max(map(len, labels)) <= 26


def test_only_the_worst_layers_get_pictures_of_their_own() -> None:
    pictures = [picture for picture in report_pictures(long_diagnosis(300)) if picture.layer is not None]
    assert len(pictures) == 16
    assert long_diagnosis(300).measurement.records[100].name in {picture.layer for picture in pictures}


def test_a_settled_figure_has_its_axes_where_matplotlib_puts_them() -> None:
    settled, other = bits_figure(diagnosis()), bits_figure(diagnosis())
    before = settled.axes[0].get_position().bounds
    settle_layout(settled)
    other.draw_without_rendering()
    assert settled.get_layout_engine() is None
    assert settled.axes[0].get_position().bounds == pytest.approx(other.axes[0].get_position().bounds, abs=0.01)
    assert settled.axes[0].get_position().bounds != pytest.approx(before, abs=0.01)


def test_weights_without_percentiles_are_drawn_by_their_ends() -> None:
    from qdiag.reading.words.diagnosis_ranges import range_report_of
    from qdiag.writers.plots.ranges import ranges_figure

    assert "weights, min to max" in legend_labels(ranges_figure(range_report_of(diagnosis())))
    assert "weights, 0.1 % to 99.9 %" in legend_labels(ranges_figure(range_report()))


def on_other_samples(score: Score, reference: float) -> Score:
    """On 32 samples, on which the float network has another figure."""
    judged = score.task.judged
    assert judged is not None
    figures = (replace(judged, reference=reference), *score.task.figures[1:])
    return replace(score, task=replace(score.task, sample_count=32, figures=figures))


def test_what_a_layer_costs_is_drawn_against_the_float_network_on_the_same_samples() -> None:
    sweep = diagnosis().sensitivity
    assert sweep is not None and sweep.rows[0].alone is not None
    alone = on_other_samples(sweep.rows[0].alone, 90.0)
    figure = sensitivity_figure(replace(sweep, rows=(replace(sweep.rows[0], alone=alone), *sweep.rows[1:])))
    bar = figure.axes[1].patches[0]
    assert isinstance(bar, Rectangle) and bar.get_height() == pytest.approx(90.0 - alone.task_value)


def test_widths_on_different_samples_have_the_float_network_of_each() -> None:
    found = diagnosis()
    point, *points = found.bits
    some = replace(found, bits=(replace(point, score=on_other_samples(point.score, 90.0)), *points))
    assert "float, same samples" in legend_labels(bits_figure(some))
    assert "float, same samples" not in legend_labels(bits_figure(found))
    marks = next(line for line in bits_figure(some).axes[0].lines if line.get_marker() == "_")
    assert 90.0 in list(marks.get_ydata())
