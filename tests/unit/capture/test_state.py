"""A network and the random generators are put back as they were, the same objects with the same values."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qdiag.capture.state import NetworkState, own_randomness, restored


class Busy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("ranges", torch.zeros(0))
        self.cache: dict[str, Any] = {"keys": [torch.ones(2)], "n": 0}
        self.seen: set[int] = set()
        self.pair = (torch.zeros(2), 1)
        self.number, self.late = 0, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.fc.weight.mul_(2.0)
            self.count += 1
        self.cache["keys"][0].add_(1.0)
        self.cache["keys"].append(x)
        self.cache["new"], self.cache["n"] = x, 1
        self.pair[0].fill_(7.0)
        self.seen.add(int(torch.randint(0, 100, ()).item()))
        self.number += 1
        self.ranges.resize_(3).fill_(1.0)
        self.extra = x
        self.late = nn.Linear(3, 3)
        self.fc.bias = nn.Parameter(torch.ones(3))
        self.train()
        random.random(), np.random.rand()  # noqa: NPY002
        return self.fc(x)


def test_everything_is_put_back() -> None:
    model = Busy().eval()
    weight, bias, late, keys = model.fc.weight, model.fc.bias, model.late, model.cache["keys"]
    values = weight.clone(), bias.clone()
    generators = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    with restored(model) as state:
        model(torch.ones(1, 3))
        changed = state.changed()
        assert {"fc.weight", "count", "number", "extra", "cache"} <= set(changed)
        assert set(state.switched_to_training()) == {"Busy", "Linear"}
    assert NetworkState(model).changed() == ()
    assert model.fc.weight is weight
    assert model.fc.bias is bias
    assert model.late is late
    assert model.cache["keys"] is keys
    assert torch.equal(weight, values[0])
    assert torch.equal(bias, values[1])
    assert (float(model.count), model.number, model.seen, hasattr(model, "extra")) == (0.0, 0, set(), False)
    assert model.cache.keys() == {"keys", "n"}
    assert model.cache["n"] == 0
    assert model.ranges.shape == (0,)
    assert len(keys) == 1
    assert torch.equal(keys[0], torch.ones(2))
    assert torch.equal(model.pair[0], torch.zeros(2))
    assert not any(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert random.getstate() == generators[1]
    assert np.array_equal(np.random.get_state()[1], generators[2])  # noqa: NPY002


def test_nothing_changed_says_so() -> None:
    model = Busy().eval()
    state = NetworkState(model)
    model.fc(torch.ones(1, 3))
    assert state.changed() == ()
    state.restore()
    assert state.changed() == ()


def test_a_seed_gives_the_same_numbers_everywhere() -> None:
    def drawn(seed: int) -> tuple[float, float, float]:
        with own_randomness(seed):
            return float(torch.rand(())), random.random(), float(np.random.rand())  # noqa: NPY002

    assert drawn(1) == drawn(1)
    assert all(a != b for a, b in zip(drawn(1), drawn(2), strict=True))


@pytest.mark.parametrize("has_accelerator", [False, True])
def test_a_seed_inside_is_what_torch_would_draw(has_accelerator: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr("qdiag.capture.state._has_accelerator", lambda: has_accelerator)
    monkeypatch.setattr("torch.cuda.manual_seed_all", seeded.append)
    with own_randomness(7):
        drawn = torch.rand(3)
    assert seeded == [7] * has_accelerator, "generators of accelerators only where there are some"
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(7)))
