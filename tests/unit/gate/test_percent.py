"""Limits on figures in percent that may have been meant as fractions."""

import pytest

from qdiag.cli.parameters import gate_with_options
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import Criterion, Figure, PairedCounts
from qdiag.core.thresholds import Limit
from tests.figures import metric, top
from tests.unit.gate.test_metric import MAE, MIOU, against, figure, gate, of, single

MAP, COSINE = Criterion("mAP"), Criterion("cosine", "", "")
WER = Criterion("WER", higher_is_better=False)
FALLEN = of(figure(MAP, 36.0, 12.0, 2.0))


@pytest.mark.parametrize("limit", [Limit(0.4), Limit(warn=0.4), Limit(40.0, warn=0.45), Limit(-0.4)])
@pytest.mark.parametrize(
    ("measured", "rule", "name"),
    [
        (FALLEN, "min_metric", "mAP"),
        (of(figure(MIOU, 60.5, 50.9, 2.0)), "min_metric", "mIoU"),
        (of(top(1, PairedCounts(400, 14, 8, 78))), "min_metric", "top-1"),
        (of(top(1, PairedCounts(400, 14, 8, 78))), "min_accuracy_percent", "top-1"),
        (of(figure(WER, 8.0, 9.0, 0.5)), "max_metric", "WER"),
    ],
)
def test_a_value_between_0_and_1_is_refused_on_a_figure_in_percent(
    measured: Measurement, rule: str, name: str, limit: Limit
) -> None:
    result = gate(measured, **{rule: limit})
    assert result.exit_code == 2
    reason = result.checks[0].reason
    assert reason.startswith(f"{name} is in percent, and ")
    (level,) = {x for x in (limit.fail, limit.warn) if x is not None and abs(x) < 1}
    option = rule.removesuffix("_percent")
    assert f"may mean {level:g}% or {100 * level:g}%: " in reason
    assert f"give `{option}='{level:g}%'` or `{option}='{100 * level:g}%'`" in reason


def test_a_sign_of_percent_says_what_is_meant() -> None:
    assert single(FALLEN, min_metric=Limit(0.4, is_percent=True), allow_few_samples=True).status == "pass"
    assert single(FALLEN, min_metric=Limit(40.0, is_percent=True)).status == "fail"
    assert single(FALLEN, min_metric=Limit(0.0)).status != "cannot_judge"
    assert single(FALLEN, min_metric=Limit(1.0)).status != "cannot_judge"
    errors = of(figure(MAE, 0.30, 0.31, 0.02))
    for rule in ("max_metric_drop", "max_metric"):
        check = single(errors, **{rule: Limit(40.0, is_percent=True)})
        assert (check.status, check.reason) == ("cannot_judge", "the limit is in percent, and MAE is in m")
    cosine = figure(COSINE, 1.0, 0.99, 0.001)
    assert single(of(cosine), min_metric=Limit(0.9)).status == "pass", "this figure is no percentage"
    assert "has no unit" in single(of(cosine), min_metric=Limit(90.0, is_percent=True)).reason


def test_the_reason_is_an_option_on_the_command_line() -> None:
    (check,) = gate_with_options(gate(FALLEN, min_metric=Limit(0.4))).checks
    assert check.reason.endswith("give --min-metric '0.4%' or --min-metric '40%'")


@pytest.mark.parametrize(
    ("rule", "option", "unit"),
    [
        ("max_drop_pp", "max_drop", "pp"),
        ("max_metric_drop", "max_metric_drop", "pp"),
        ("max_relative_drop_percent", "max_relative_drop", "%"),
    ],
)
def test_of_a_small_loss_the_unit_is_said(rule: str, option: str, unit: str) -> None:
    words = f"`{option}=0.02` is 0.02 {unit}, since mAP is in percent: for 2 {unit} give `{option}=2`"
    for limit in (Limit(0.02), Limit(warn=0.02)):
        assert words in gate(FALLEN, **{rule: limit}).notes
    for limit in (Limit(0.02, is_percent=True), Limit(0.5), Limit(0.0)):
        assert not gate(FALLEN, **{rule: limit}).notes
    assert gate_with_options(gate(FALLEN, max_drop_pp=Limit(0.02))).notes[0].endswith("give --max-drop 2")


def test_in_other_units_small_numbers_mean_themselves() -> None:
    assert not gate(of(figure(MAE, 0.30, 0.31, 0.02)), max_metric_drop=Limit(0.02)).notes
    assert not gate(of(figure(COSINE, 1.0, 0.99, 0.001)), max_metric_drop=Limit(0.02)).notes


def test_a_limit_that_a_fall_to_nothing_keeps_is_said() -> None:
    """Points on a score between 0 and 1."""
    result = gate(of(metric("f1", 0.9, 0.1)), max_metric_drop=Limit(1.0))
    assert result.exit_code == 0
    assert result.notes == ("`max_metric_drop=1` would let pass a fall of f1 to 0: the float network has 0.9",)
    assert "mAP to 0: the float network has 36 %" in gate(FALLEN, max_metric_drop=Limit(40.0)).notes[0]
    assert not gate(of(figure(MAE, 0.3, 0.4, 0.1)), max_metric_drop=Limit(1.0)).notes, "errors have no such end"


def test_a_growth_in_percent_needs_a_figure_in_percent() -> None:
    now: Figure = figure(MAE, 0.30, 0.31, 0.05)
    assert against(now, now, 0.5).status != "cannot_judge"
    assert "MAE is in m" in against(now, now, Limit(0.5, is_percent=True)).reason
