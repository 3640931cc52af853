"""Metrics and targets that are odd: infinite, undefined, of no size, with side effects, named as figures of our own."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.errors import ConfigError, DataError
from qdiag.reading.words.causes import headline
from qdiag.simulate.task.user import MetricRequest, user_task
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report

X = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(24) % 3


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 3)).eval()


def harm_by(metric: object, **attributes: Any) -> qdiag.Diagnosis:
    for name, value in attributes.items():
        setattr(metric, name, value)
    return qdiag.diagnose(network(), (X, CLASSES), metric=metric)


def constant(reference: float, simulated: float) -> Callable[[Tensor, Tensor], float]:
    """One value for the float network, which is asked first, and another one for all others."""
    first: list[Tensor] = []

    def given(outputs: Tensor, targets: Tensor) -> float:
        del targets
        with torch.no_grad():
            is_float = torch.allclose(outputs, network()(X[: len(outputs)]), atol=1e-6)
        first.append(outputs)
        return reference if is_float else simulated

    return given


def test_a_limit_of_zero_in_percent_is_no_crash() -> None:
    found = harm_by(lambda outputs, targets: torch.zeros(len(outputs)), unit="%", limit=0.0)
    assert found.ranking.harm.verdict == "healthy"


def test_what_is_undefined_for_the_float_network_cannot_be_judged() -> None:
    def undefined(outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.full((len(outputs),), math.nan)

    found = harm_by(undefined)
    assert found.ranking.harm.verdict == "undecided"
    assert found.measurement.notes[-1] == (
        "undefined is not a number (NaN) for the float network on 24 of 24 samples and the quantized network on 24 of "
        "24 samples: what quantization costs cannot be told by it"
    )
    words = "what quantization costs is not known: undefined of the float network is not a number"
    assert headline(found) == f"No verdict is possible: {words}."
    reasons = {cause.reason for cause in found.ranking.causes if cause.verdict == "undecided"}
    assert reasons <= {"undefined is not a number, so what quantization costs cannot be told"}
    for text in (markdown_report(found), html_report(found)):
        assert "is not a number (NaN) for the float network on 24 of 24 samples" in text


def test_what_is_undefined_after_quantization_is_harm() -> None:
    harmed = qdiag.diagnose(network(), (X[:16], CLASSES[:16]), metric=constant(1.0, math.nan))
    assert harmed.ranking.harm.verdict == "harmed"
    assert harmed.measurement.notes[-1] == "given is not a number (NaN) for the quantized network: that counts as harm"
    assert headline(harmed).startswith("Quantization makes given NaN, which is not a number (float: 1).")


def test_a_loss_from_infinity_is_harm() -> None:
    found = qdiag.diagnose(network(), (X[:16], CLASSES[:16]), metric=constant(math.inf, 5.0))
    assert found.ranking.harm.verdict == "harmed"


def test_targets_that_a_metric_changes_are_left_as_they_were() -> None:
    targets = CLASSES.clone()

    def greedy(outputs: Tensor, labels: Tensor) -> Tensor:
        labels.add_(1)
        return outputs[:, 0]

    qdiag.measure(network(), [(X[:12], targets[:12]), (X[12:], targets[12:])], metric=greedy)
    assert torch.equal(targets, CLASSES)


def test_a_metric_named_as_a_figure_of_ours_takes_its_place() -> None:
    def MAE(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs().mean(1)

    names = [f.criterion.name for f in qdiag.measure(network(), (X, torch.randn(24, 3)), metric=MAE).task.figures]
    assert names[0] == "MAE" and len(names) == len(set(names))


@pytest.mark.parametrize("limit", [-1.0, math.nan, math.inf, "much"])
def test_limits_that_are_none_are_refused(limit: Any) -> None:
    with pytest.raises(ConfigError, match="limit"):
        user_task(MetricRequest(len, limit=limit))


@pytest.mark.parametrize("given", [np.bool_(False), 0, False])
def test_any_false_direction_is_lower(given: Any) -> None:
    def error(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs[:, 0]

    error.higher_is_better = given  # type: ignore[attr-defined]
    assert not user_task(MetricRequest(error)).criterion.higher_is_better


def test_masks_without_a_counted_position_prove_nothing() -> None:
    maps = nn.Sequential(nn.Conv2d(3, 4, 1)).eval()
    with pytest.raises(DataError, match="ignored"):
        qdiag.measure(maps, (torch.randn(6, 3, 8, 8), torch.full((6, 8, 8), 255)))


def test_one_mask_that_counts_is_no_certainty() -> None:
    maps, masks = nn.Sequential(nn.Conv2d(3, 4, 1)).eval(), torch.full((6, 8, 8), 255)
    masks[0] = torch.randint(0, 4, (8, 8))
    judged = qdiag.measure(maps, (torch.randn(6, 3, 8, 8), masks)).task.judged
    assert judged is not None and math.isnan(judged.loss_interval.low)
