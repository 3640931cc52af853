"""Modules whose `forward` writes to themselves come back as they were."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.errors import QdiagError


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu().mean((2, 3))


class Counts(Body):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return super().forward(x)


class EditsWeights(Body):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.conv.weight.mul_(0.5)
        return super().forward(x)


class Reassigns(Body):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        self.last = y.detach().mean(0)
        return y


class MakesAttributes(Body):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.extra = 3
        self.seen.append(1)
        return super().forward(x)


class Draws(Body):
    def forward(self, x: Tensor) -> Tensor:
        random.random()
        np.random.rand()  # noqa: NPY002
        torch.rand(2)
        return super().forward(x)


class TrainsItself(Body):
    def forward(self, x: Tensor) -> Tensor:
        self.train()
        return super().forward(x)


class Hooks(Body):
    def forward(self, x: Tensor) -> Tensor:
        self.conv.register_forward_hook(lambda module, inputs, output: output)
        return super().forward(x)


KINDS = (Body, Counts, EditsWeights, Reassigns, MakesAttributes, Draws, TrainsItself, Hooks)


def state_of(module: nn.Module) -> dict[str, Any]:
    found: dict[str, Any] = {"training": [m.training for m in module.modules()]}
    found["attributes"] = [sorted(vars(m)) for m in module.modules()]
    found["hooks"] = [len(m._forward_hooks) for m in module.modules()]
    found["tensors"] = {name: id(t) for name, t in (*module.named_parameters(), *module.named_buffers())}
    found["seen"] = list(getattr(module, "seen", ()))
    return found


def values_of(module: nn.Module) -> list[Tensor]:
    return [t.detach().clone() for t in (*module.parameters(), *module.buffers())]


def random_state() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002


@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_module_is_left_as_it_was(kind: type[nn.Module], trains: bool) -> None:
    module = kind().train(trains)
    state, values, chance = state_of(module), values_of(module), random_state()
    try:
        qdiag.measure(module, torch.linspace(-1, 1, 4 * 3 * 64).reshape(4, 3, 8, 8))
    except QdiagError:  # a network that changes itself may be refused, but not changed
        assert kind is not Body
    assert state_of(module) == state
    assert all(torch.equal(a, b) for a, b in zip(values_of(module), values, strict=True))
    assert random_state() == chance
    assert torch.is_grad_enabled()
