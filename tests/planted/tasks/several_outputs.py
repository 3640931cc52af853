"""Classifiers with other outputs beside the one that the labels belong to, and a fault in its head alone.

`two_outputs` gives an embedding and logits by name, and labels 0 to 9. `three_outputs` gives 4, 10 and 2 columns, and
labels 0 and 1: they belong to the third. The fault: hidden channels of that head are far larger than the others, with
weights behind that undo it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from tests.planted.tasks.metrics import Floats, top1
from tests.planted.tasks.patterns import KINDS, Patterns, Trunk, draw_patterns
from tests.planted.tasks.task_network import Samples, TaskData, TaskNetwork, fit, scale_channels, seeded

WIDTH, HIDDEN = 32, 24
CHANNELS, FACTOR = (1, 5), 400.0


def head(columns: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(96, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, columns))


class TwoOutputs(nn.Module):
    """Images (N, 3, 16, 16) to `embedding` (N, 32) and `logits` (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.project, self.classifier = Trunk(), nn.Linear(96, WIDTH), head(KINDS)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.trunk(x)
        return {"embedding": self.project(features), "logits": self.classifier(features)}


class ThreeOutputs(nn.Module):
    """Images (N, 3, 16, 16) to a place (N, 4), kinds (N, 10), and whether there is a mark (N, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.place, self.kind, self.mark = Trunk(), nn.Linear(96, 4), head(KINDS), head(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.trunk(x)
        return self.place(features), self.kind(features), self.mark(features)


@cache
def _patterns() -> tuple[Patterns, Patterns, Patterns]:
    return draw_patterns(640, 1), draw_patterns(64, 2), draw_patterns(240, 3)


@cache
def two_data() -> TaskData:
    return TaskData(*(Samples(part.images, part.kinds) for part in _patterns()))


@cache
def three_data() -> TaskData:
    return TaskData(*(Samples(part.images, part.marks) for part in _patterns()))


def _two_loss(found: Any, seen: Patterns, chosen: Tensor) -> Tensor:
    one_hot = F.one_hot(seen.kinds[chosen], WIDTH).float()
    return F.cross_entropy(found["logits"], seen.kinds[chosen]) + F.mse_loss(found["embedding"], one_hot)


def _three_loss(found: Any, seen: Patterns, chosen: Tensor) -> Tensor:
    place, kind, mark = found
    near = F.mse_loss(place, seen.places[chosen])
    return F.cross_entropy(kind, seen.kinds[chosen]) + 2.0 * F.cross_entropy(mark, seen.marks[chosen]) + near


@cache
def _trained(architecture: type[nn.Module], loss_of: Callable[[Any, Patterns, Tensor], Tensor]) -> dict[str, Tensor]:
    seen = _patterns()[0]

    def loss(module: nn.Module, chosen: Tensor) -> Tensor:
        return loss_of(module(seen.images[chosen]), seen, chosen)

    return fit(
        seeded(architecture),
        loss,
        kept_as=architecture.__name__.lower(),
        sample_count=len(seen.images),
        steps=150,
        rate=5e-3,
    ).state_dict()


@cache
def build_two(*, is_healthy: bool) -> nn.Module:
    model = TwoOutputs()
    model.load_state_dict(_trained(TwoOutputs, _two_loss))
    if not is_healthy:
        scale_channels([model.classifier[0]], model.classifier[2], CHANNELS, FACTOR)
    return model.eval().requires_grad_(False)


@cache
def build_three(*, is_healthy: bool) -> nn.Module:
    model = ThreeOutputs()
    model.load_state_dict(_trained(ThreeOutputs, _three_loss))
    if not is_healthy:
        scale_channels([model.mark[0]], model.mark[2], CHANNELS, FACTOR)
    return model.eval().requires_grad_(False)


def logits_top1(outputs: Any, labels: Any) -> Floats:
    """Top-1 of the second of two outputs."""
    return top1(outputs[1], labels)


def marks_top1(outputs: Any, labels: Any) -> Floats:
    """Top-1 of the third of three outputs."""
    return top1(outputs[2], labels)


NETWORKS = (
    TaskNetwork(
        "two_outputs",
        "classify",
        TwoOutputs,
        lambda: build_two(is_healthy=False),
        two_data,
        logits_top1,
        judged="logits",
        unlabelled="classify",
        float_min=0.8,
        drop_min=0.1,
        layers=("classifier.0",),
        code="QD205",
        twin="two_outputs_healthy",
    ),
    TaskNetwork(
        "two_outputs_healthy",
        "classify",
        TwoOutputs,
        lambda: build_two(is_healthy=True),
        two_data,
        logits_top1,
        judged="logits",
        unlabelled="classify",
        float_min=0.8,
    ),
    TaskNetwork(
        "three_outputs",
        "classify",
        ThreeOutputs,
        lambda: build_three(is_healthy=False),
        three_data,
        marks_top1,
        judged="2",
        float_min=0.8,
        drop_min=0.1,
        layers=("mark.0",),
        code="QD205",
        twin="three_outputs_healthy",
    ),
    TaskNetwork(
        "three_outputs_healthy",
        "classify",
        ThreeOutputs,
        lambda: build_three(is_healthy=True),
        three_data,
        marks_top1,
        judged="2",
        float_min=0.8,
    ),
)
