"""The loop for float networks: against the same updates written out, its learning rate, and what it refuses."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from qdiag.errors import ConfigError, DivergedError, SimulationError
from qdiag.train.plain.loop import PlainLoop
from qdiag.train.plain.pixels import Pixels, as_input
from qdiag.train.plain.settings import PlainSettings
from tests.cases import SESSION

IMAGES = torch.randint(0, 256, (8, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = torch.arange(8) % 3


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def test_updates_are_those_of_momentum_with_decay_and_a_penalty() -> None:
    settings = PlainSettings(learning_rate=0.1, momentum=0.8, weight_decay=0.01, batch_size=8, warm_up=0.0)
    loop = PlainLoop(SESSION, settings, 3, seed=0, penalty=lambda model: 0.5 * model[1].bias.square().sum())  # type: ignore[index, union-attr, operator]
    model = network()
    record = loop.run(model, Pixels(IMAGES, LABELS))
    other = network()
    weight, bias = other[1].weight.detach().double(), other[1].bias.detach().double()  # type: ignore[index]
    speeds, x = [torch.zeros_like(weight), torch.zeros_like(bias)], as_input(IMAGES).flatten(1).double()
    for step in range(3):
        logits = x @ weight.T + bias
        assert record.losses[step] == pytest.approx(float(F.cross_entropy(logits, LABELS)), rel=1e-5)
        error = (logits.softmax(1) - F.one_hot(LABELS, 3)) / 8
        slopes = [error.T @ x + 0.01 * weight, error.sum(0) + bias]
        speeds = [0.8 * speed + slope for speed, slope in zip(speeds, slopes, strict=True)]
        rate = 0.05 * (1.0 + math.cos(math.pi * step / 3))
        weight, bias = weight - rate * speeds[0], bias - rate * speeds[1]
    assert torch.allclose(model[1].weight.double(), weight, atol=1e-6)  # type: ignore[index]
    assert torch.allclose(model[1].bias.double(), bias, atol=1e-6)  # type: ignore[index]
    assert not model.training


def test_the_learning_rate_rises_and_falls() -> None:
    loop = PlainLoop(SESSION, PlainSettings(learning_rate=0.4, warm_up=0.2), 1, seed=0)
    rates = [loop.learning_rate(share / 100) for share in range(101)]
    assert rates[0] < 0.01 and max(rates) == pytest.approx(0.4) and rates.index(max(rates)) == 20
    assert rates[60] == pytest.approx(0.2) and rates[100] == pytest.approx(0.0)


def test_named_weights_do_not_decay() -> None:
    settings = PlainSettings(learning_rate=1e-9, momentum=0.0, weight_decay=1e8, batch_size=8, warm_up=0.0)
    kept, decayed = network(), network()
    PlainLoop(SESSION, settings, 1, 0, undecayed=lambda name, _: name == "1.weight").run(kept, Pixels(IMAGES, LABELS))
    PlainLoop(SESSION, settings, 1, 0).run(decayed, Pixels(IMAGES, LABELS))
    first = network()[1].weight  # type: ignore[index]
    assert torch.allclose(kept[1].weight, first, atol=1e-6)  # type: ignore[index]
    assert torch.allclose(decayed[1].weight, 0.9 * first, atol=1e-6)  # type: ignore[index]


def test_weights_that_the_last_update_makes_infinite_are_an_error() -> None:
    """The loss before that update was finite."""
    settings = PlainSettings(learning_rate=1e38, weight_decay=1e6, batch_size=8, warm_up=0.0)
    with pytest.raises(DivergedError, match=r"1\.weight is not finite after 1 steps"):
        PlainLoop(SESSION, settings, 1, 0).run(network(), Pixels(IMAGES, LABELS))


def test_a_training_that_diverges_is_an_error() -> None:
    settings = PlainSettings(learning_rate=1e30, batch_size=4, warm_up=0.0)
    with pytest.raises(SimulationError, match="diverged"):
        PlainLoop(SESSION, settings, 4, seed=0).run(network(), Pixels(IMAGES, LABELS))


def test_a_few_steps_are_timed() -> None:
    loop = PlainLoop(SESSION, PlainSettings(batch_size=2), 5, seed=0, steps_at_most=3)
    record = loop.run(network(), Pixels(IMAGES, LABELS))
    assert len(record.losses) == 1 and record.steps == 4 and record.step_seconds > 0.0


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"learning_rate": 0.0}, {"warm_up": 1.0}])
def test_settings_out_of_bounds_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        PlainSettings(**wrong)  # type: ignore[arg-type]
