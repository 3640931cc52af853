"""Metrics of torchmetrics by their names: found, made with plain arguments, and nothing else is run."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from qdiag.errors import ConfigError, LoadError
from qdiag.loaders.metric_ref import load_metric


class Metric:
    """As in torchmetrics: an object with update, compute and reset."""

    higher_is_better: bool | None = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.right = self.count = 0


class Hits(Metric):
    def __init__(self, num_classes: int, weights: list[float] | None = None, average: str = "micro") -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError("expected num_classes of 2 or more")
        self.arguments = (num_classes, weights, average)

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        self.right += int((preds.argmax(1) == target).sum())
        self.count += len(target)

    def compute(self) -> torch.Tensor:
        return torch.tensor(self.right / self.count)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of the name, with what the real one has: metrics in a module, functions, and modules it imports."""
    package, inner = ModuleType("torchmetrics"), ModuleType("torchmetrics.classification")
    one: Any = package
    two: Any = inner
    one.Metric, one.classification, one.os = Metric, inner, os
    two.Hits, two.os, two.hits, two.Path = Hits, os, lambda preds, target: 0.0, Path
    monkeypatch.setitem(sys.modules, "torchmetrics", package)
    monkeypatch.setitem(sys.modules, "torchmetrics.classification", inner)
    yield


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("torchmetrics.classification.Hits(num_classes=10)", (10, None, "micro")),
        ("torchmetrics.classification.Hits(10, average='macro')", (10, None, "macro")),
        (" torchmetrics.classification.Hits(3, weights=[1, -0.5, 2e-3]) ", (3, [1, -0.5, 2e-3], "micro")),
    ],
)
def test_arguments_are_plain_values(text: str, arguments: tuple[object, ...]) -> None:
    found = load_metric(text)
    assert isinstance(found, Hits) and found.arguments == arguments


@pytest.mark.usefixtures("stand_in")
def test_a_metric_without_arguments_may_lack_the_brackets() -> None:
    assert type(load_metric("torchmetrics.Metric")) is Metric
    assert type(load_metric("torchmetrics.Metric()")) is Metric


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "text",
    [
        "torchmetrics.classification.Hits(num_classes=__import__('os').getpid())",
        "torchmetrics.classification.Hits(num_classes=open)",
        "torchmetrics.classification.Hits(**{'num_classes': 10})",
        "torchmetrics.classification.Hits(*[10])",
        "torchmetrics.classification.Hits(10",
        "torchmetrics.classification.Hits(10)(10)",
        "torchmetrics.classification.Hits(10).update(1)",
        "torchmetrics.classification.Hits(10) + (1)",
        "torchmetrics.classification.Hits(x=" + "-" * 5000 + "1)",
    ],
)
def test_whatever_is_no_plain_call_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        load_metric(text)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "text",
    [
        "torchmetrics.os.system('true')",
        "torchmetrics.classification.os.getpid()",
        "torchmetrics.classification.Path('x')",
        "torchmetrics.classification.hits",
        "torchmetrics.classification.Hits.compute(1)",
        "torchmetrics.classification",
    ],
)
def test_only_metrics_of_the_package_are_made(text: str) -> None:
    with pytest.raises(LoadError, match="it names no metric of torchmetrics"):
        load_metric(text)


@pytest.mark.usefixtures("stand_in")
def test_what_is_wrong_is_said() -> None:
    with pytest.raises(LoadError, match=r"torchmetrics\.classification has no 'Hitz'") as caught:
        load_metric("torchmetrics.classification.Hitz(3)")
    assert caught.value.hint == "did you mean Hits?"
    with pytest.raises(ConfigError, match="the metric cannot be made: expected num_classes of 2 or more"):
        load_metric("torchmetrics.classification.Hits(1)")


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(LoadError, match="torchmetrics is not installed") as caught:
        load_metric("torchmetrics.classification.MulticlassF1Score(num_classes=10)")
    assert caught.value.hint == "install it: pip install 'qdiag[metrics]'"


def test_other_references_are_objects_of_the_users_code(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def score(outputs, targets):\n    return 0.5\n")
    found: Any = load_metric(f"{tmp_path}/mine.py:score")
    assert found(None, None) == 0.5


@pytest.mark.skipif(importlib.util.find_spec("torchmetrics") is None, reason="torchmetrics is not installed")
def test_the_real_package() -> None:
    found: Any = load_metric("torchmetrics.classification.MulticlassF1Score(num_classes=3, average='micro')")
    found.update(torch.eye(3), torch.tensor([0, 1, 1]))
    assert float(found.compute()) == pytest.approx(2 / 3)
