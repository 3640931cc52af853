"""Targets of every kind through the public functions: each sample's own reach the metric, in order."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.core.diagnosis import Diagnosis
from qdiag.targets import joined_targets, target_bytes, target_rows

COUNT = 21
INPUTS = torch.randn(COUNT, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def boxes_of(index: int) -> dict[str, Tensor]:
    return {"boxes": torch.full((index % 3, 4), float(index)), "labels": torch.full((index % 3,), index)}


TARGETS: dict[str, Any] = {
    "floats": torch.arange(COUNT * 3).reshape(COUNT, 3) / 7,
    "masks": torch.arange(COUNT * 64).reshape(COUNT, 8, 8) % 5,
    "boxes": [boxes_of(index) for index in range(COUNT)],
    "texts": [f"text {index}" for index in range(COUNT)],
    "tree": {"mask": torch.arange(COUNT * 64).reshape(COUNT, 8, 8) % 5, "names": [str(i) for i in range(COUNT)]},
}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 3)).eval()


class Recorder:
    """A metric that keeps what it was given for the float network."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.calls = 0

    def __call__(self, outputs: Tensor, targets: Any) -> Tensor:
        self.calls += 1
        if self.calls % 2:
            self.seen.append(targets)
        return outputs[:, 0]


def content(targets: Any) -> bytes:
    return b"".join(target_bytes(targets))


def in_batches(targets: Any) -> list[tuple[Tensor, Any]]:
    cuts = [range(0, 8), range(8, 16), range(16, COUNT)]
    return [(INPUTS[cut.start : cut.stop], target_rows(targets, cut)) for cut in cuts]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("form", [lambda targets: (INPUTS, targets), in_batches])
def test_a_metric_sees_the_targets_of_its_samples(name: str, form: Callable[[Any], Any]) -> None:
    metric = Recorder()
    result = qdiag.measure(network(), form(TARGETS[name]), metric=metric)
    assert result.data.is_labelled and result.data.measured_count == COUNT
    assert content(joined_targets(metric.seen)) == content(TARGETS[name])
    assert content(joined_targets(metric.seen)) != content(target_rows(TARGETS[name], range(COUNT)[::-1]))


@pytest.fixture(scope="module")
def without() -> Diagnosis:
    return qdiag.diagnose(network(), INPUTS)


@pytest.mark.parametrize("name", TARGETS)
def test_targets_of_any_kind_are_diagnosed(name: str, without: Diagnosis) -> None:
    found = qdiag.diagnose(network(), (INPUTS, TARGETS[name]), metric=Recorder())
    assert found.measurement.data.is_labelled
    assert [r.name for r in found.measurement.records] == [r.name for r in without.measurement.records]
    assert [r.local.sqnr_db for r in found.measurement.records] == [
        r.local.sqnr_db for r in without.measurement.records
    ]


def test_two_targets_of_the_same_inputs_are_different_data() -> None:
    one, other = (
        qdiag.measure(network(), (INPUTS, TARGETS[name]), task="none").data.digest for name in ("masks", "texts")
    )
    assert one != other
