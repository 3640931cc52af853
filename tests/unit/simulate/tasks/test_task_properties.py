"""What holds of every criterion: perfect answers are best, losses have their sign, and batches do not matter."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import one_hot

from qdiag.simulate.task.base import Task
from qdiag.simulate.task.classes import Agreement, Logits, TopK
from qdiag.simulate.task.masks import MeanIoU, Positions, PositionShare
from qdiag.simulate.task.numbers import PSNR, Cosine, MeanError
from qdiag.simulate.task.user import MetricRequest, user_task
from tests.judged import gained, judged


class Largest:
    """The largest error of all samples: no mean of anything."""

    higher_is_better = False

    def __init__(self) -> None:
        self.value = 0.0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self.value = max(self.value, float((outputs - targets).abs().max()))

    def compute(self) -> float:
        return self.value


def error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).abs().mean((1, 2, 3))


@dataclass(frozen=True)
class Case:
    """A criterion with answers for it.

    Attributes:
        perfect: answers that the targets are met by. best: the value of these.
    """

    task: Task
    targets: Callable[[int, torch.Generator], Tensor | None]
    perfect: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]
    best: float


def classes(n: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 7, (n,), generator=generator)


def masks(n: int, generator: torch.Generator) -> Tensor:
    found = torch.randint(0, 3, (n, 4, 4), generator=generator)
    found[:, 0, 0] = 255
    found[:, 0, 1] = 1
    return found


def steps(n: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 3, (n, 6), generator=generator)


def images(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, 3, 2, 2, generator=generator)


def hot(count: int, axis: int) -> Callable[[Tensor], Tensor]:
    return lambda labels: one_hot(torch.where(labels == 255, 0, labels), count).float().movedim(-1, axis)


def same(targets: Tensor) -> Tensor:
    return targets.clone()


IMAGE, PIXELS, STEPS = (3, 2, 2), Positions(0, 1, 3), Positions(0, 2, 3)
CASES = {
    "top-1": Case(TopK(Logits(0, 7)), classes, hot(7, 1), (7,), 100.0),
    "top-5": Case(TopK(Logits(0, 7), 5), classes, hot(7, 1), (7,), 100.0),
    "agreement": Case(Agreement(Logits(0, 7)), classes, hot(7, 1), (7,), 100.0),
    "mIoU": Case(MeanIoU(PIXELS), masks, hot(3, 1), (3, 4, 4), 100.0),
    "pixels": Case(PositionShare(PIXELS, is_against_float=False), masks, hot(3, 1), (3, 4, 4), 100.0),
    "pixel agreement": Case(PositionShare(PIXELS, is_against_float=True), masks, hot(3, 1), (3, 4, 4), 100.0),
    "steps": Case(PositionShare(STEPS, is_against_float=False), steps, hot(3, 2), (6, 3), 100.0),
    "MAE": Case(MeanError(0), images, same, IMAGE, 0.0),
    "RMSE": Case(MeanError(0, "RMSE"), images, same, IMAGE, 0.0),
    "PSNR": Case(PSNR(0), images, same, IMAGE, 100.0),
    "cosine": Case(Cosine(0), images, same, IMAGE, 1.0),
    "cosine to targets": Case(Cosine(0, is_against_float=False), images, same, IMAGE, 1.0),
    "function": Case(user_task(MetricRequest(error, False)), images, same, IMAGE, 0.0),
    "object": Case(user_task(MetricRequest(Largest)), images, same, IMAGE, 0.0),
}


def drawn(case: Case, n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Perfect answers, random ones, and the targets."""
    generator = torch.Generator().manual_seed(seed)
    targets = case.targets(n, generator)
    assert targets is not None
    return case.perfect(targets), torch.rand(n, *case.shape, generator=generator), targets


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 30), seed=st.integers(0, 999))
def test_perfect_answers_are_best_and_losses_have_their_sign(name: str, n: int, seed: int) -> None:
    case = CASES[name]
    perfect, other, targets = drawn(case, n, seed)
    figure = judged(case.task, perfect, other, targets)
    assert figure.reference == pytest.approx(case.best, abs=1e-6)
    assert figure.loss >= -1e-9
    if case.task.criterion.higher_is_better:
        assert figure.simulated <= figure.reference + 1e-9
    else:
        assert figure.simulated >= figure.reference - 1e-9
    assert judged(case.task, perfect, perfect, targets).loss == 0.0
    gain = gained(case.task, perfect, other, perfect, targets)
    back = gained(case.task, perfect, perfect, other, targets)
    assert gain.value == pytest.approx(figure.loss) and back.value == pytest.approx(-figure.loss)
    for interval in (figure.loss_interval, gain.interval):
        assert math.isnan(interval.low) or interval.low <= interval.high


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 999))
def test_batches_do_not_matter(name: str, sizes: list[int], seed: int) -> None:
    case = CASES[name]
    _, reference, targets = drawn(case, sum(sizes), seed)
    _, simulated, _ = drawn(case, sum(sizes), seed + 1)
    whole = judged(case.task, reference, simulated, targets)
    parts = judged(case.task, reference, simulated, targets, sizes)
    assert parts.sample_count == whole.sample_count == sum(sizes)
    for one, other in (
        (parts.reference, whole.reference),
        (parts.simulated, whole.simulated),
        (parts.loss_interval.low, whole.loss_interval.low),
        (parts.loss_interval.high, whole.loss_interval.high),
        (parts.simulated_interval.low, whole.simulated_interval.low),
    ):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-9, nan_ok=True)
    assert parts.counts == whole.counts
