"""Pictures of branches: what is drawn where, and files that are whole."""

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from qdiag.compare.diagnoses import compare_diagnoses
from qdiag.writers.plots.branches.distributions import activations_figure, weights_figure
from qdiag.writers.plots.branches.errors import fusion_error_figure
from qdiag.writers.plots.branches.gains import gains_figure
from qdiag.writers.plots.branches.pictures import PICTURES, write_pictures
from qdiag.writers.plots.two_errors import compared_errors_figure, two_errors_figure
from tests import diagnoses
from tests.branch_reports import branch_report


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_every_gain_is_a_dot_in_the_column_of_its_block() -> None:
    figure = gains_figure(branch_report())
    assert labels(figure) == ["k x k", "1 x 1", "identity"]
    identity = figure.axes[0].lines[2]
    assert list(identity.get_ydata()) == [0.4, 0.8, 692.0, 0.9, 0.4, 1.1, 0.7, 0.9]
    assert [round(x) for x in identity.get_xdata()] == [1, 1, 1, 1, 2, 2, 2, 2]


def test_gains_that_are_zero_or_no_number_leave_no_dot() -> None:
    report = branch_report()
    block = report.blocks[0]
    norm = block.branches[0].norm
    assert norm is not None
    odd = replace(block.branches[0], norm=replace(norm, gain=(0.0, math.nan, math.inf, 2.0)))
    figure = gains_figure(replace(report, blocks=(replace(block, branches=(odd,)),)))
    drawn = list(figure.axes[0].lines[0].get_ydata())
    assert [value for value in drawn if not math.isnan(value)] == [2.0]


def test_the_errors_of_both_networks_are_in_one_picture() -> None:
    report = branch_report()
    figure = fusion_error_figure(report)
    assert labels(figure) == ["as read", "fused"]
    before, after = figure.axes[0].lines[:2]
    assert list(before.get_ydata()) == [block.before.mse for block in report.blocks if block.before is not None]
    assert list(after.get_ydata())[:3] == [block.after.mse for block in report.blocks[:3] if block.after is not None]
    assert math.isnan(list(after.get_ydata())[3])


def test_no_error_and_nothing_finite_are_marked() -> None:
    figure = two_errors_figure(["a", "b"], [0.0, 1.0], [math.inf, 2.0], ("one", "two"), "x")
    assert labels(figure) == ["one", "two", "0: no error", "nothing finite"]


def test_each_distribution_reaches_from_its_minimum_to_its_maximum() -> None:
    figure = weights_figure(branch_report())
    assert labels(figure) == ["k x k", "1 x 1", "identity", "fused"]
    axes = figure.axes[0]
    ends = {tuple(line.get_ydata()) for line in axes.lines}
    assert {(-0.5, 0.5), (-0.5, 692.0), (-0.75, 692.0)} <= ends
    low, high = axes.get_ylim()
    assert low < -0.75 and high > 692.0
    assert labels(activations_figure(branch_report()))[-1] == "block"


def test_a_report_without_blocks_can_be_drawn(tmp_path: Path) -> None:
    assert len(write_pictures(replace(branch_report(), blocks=()), tmp_path)) == 2 * len(PICTURES)


def test_drawn_inputs_are_said_in_the_title() -> None:
    report = branch_report()
    drawn = replace(report, before=replace(report.before, data=replace(report.before.data, is_data_free=True)))
    assert "DATA-FREE" in activations_figure(drawn).get_suptitle()


def test_files_are_well_formed(tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in write_pictures(branch_report(), tmp_path)}
    assert set(first) == {f"{name}.{kind}" for name in PICTURES for kind in ("png", "svg")}
    for name, content in first.items():
        if name.endswith(".svg"):
            assert ElementTree.fromstring(content).tag.endswith("svg")
        else:
            assert content.startswith(b"\x89PNG")


@pytest.mark.parametrize("count", [1, 40])
def test_labels_stay_readable_at_any_depth(count: int) -> None:
    report = branch_report()
    blocks = tuple(replace(report.blocks[1], name=f"backbone.stage{i}.block") for i in range(count))
    axes = gains_figure(replace(report, blocks=blocks)).axes[0]
    assert 1 <= len(axes.get_xticklabels()) <= 80


def test_two_diagnosed_networks_are_drawn_layer_by_layer() -> None:
    before, after = diagnoses.diagnosis(), diagnoses.repaired_diagnosis()
    comparison = compare_diagnoses(before, after, source_before="runs/one", source_after="runs/two")
    figure = compared_errors_figure(comparison, before.measurement, after.measurement)
    assert labels(figure)[:2] == ["before: runs/one", "after: runs/two"]
    drawn = [list(line.get_ydata()) for line in figure.axes[0].lines[:2]]
    for layer, first, second in zip(comparison.layers, *drawn, strict=True):
        wanted = before.measurement.record(layer.name_before).propagated.mse
        assert first == wanted or (math.isnan(first) and not wanted > 0.0)
        assert second == after.measurement.record(layer.name).propagated.mse or math.isnan(second)
