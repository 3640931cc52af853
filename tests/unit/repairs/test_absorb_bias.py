"""High-bias absorption: constants that no activation cuts move into the next bias, and nothing else changes."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qdiag.capture.program import Runner
from qdiag.repairs.base import RepairContext
from qdiag.repairs.equalization.absorb_bias import absorbed
from qdiag.repairs.equalization.equalize import EQUALIZE
from qdiag.repairs.equalization.pairs import find_pairs
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_tensors
from tests.cases import SESSION, assert_seen_as_in_a_pass, open_test_case, output_sqnr_db


def images(seed: int) -> Tensor:
    return torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def high_bias(*after: nn.Module, activation: nn.Module | None = None) -> nn.Sequential:
    """Channels 1 and 2 of the first layer never come near zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), activation or nn.ReLU(), *after).eval()
        for module in net:
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
    with torch.no_grad():
        net[0].bias[1], net[0].bias[2] = 40.0, 30.0
    return net


def absorb(case: Case) -> tuple[dict[str, Tensor], Case]:
    """Absorption alone, without scaling: tensors by their names in the model, and the case with them."""
    pairs = find_pairs(case).found
    ones = [torch.ones(pair.channels, dtype=torch.float64) for pair in pairs]
    changed = absorbed(pairs, ones, case.program.constants, case.observations)
    changes = {case.program.parameter_names[key]: value for key, value in changed.items()}
    return changes, with_tensors(SESSION, case, changes, recalibrate=True)


def outputs(case: Case, x: Tensor) -> Tensor:
    with torch.no_grad():
        return Runner(case.program)((x,))[0]


def test_by_hand() -> None:
    net = high_bias(nn.Conv2d(4, 2, 3))
    case = open_test_case(net, images(1))
    changes, treated = absorb(case)
    with torch.no_grad():
        seen = net[1](net[0](images(1)))
    smallest = seen.amin((0, 2, 3)).numpy().astype(np.float64)
    assert set(np.flatnonzero(smallest > 1.0)) == {1, 2}
    assert np.allclose(changes["0.bias"].numpy(), net[0].bias.detach().numpy() - smallest, atol=1e-4)
    expected = net[2].bias.detach().numpy() + net[2].weight.detach().numpy().sum((2, 3)) @ smallest
    assert np.allclose(changes["2.bias"].numpy(), expected, atol=1e-4)
    assert torch.allclose(outputs(treated, images(1)), outputs(case, images(1)), atol=2e-5)
    assert output_sqnr_db(treated) > output_sqnr_db(case) + 6.0


@pytest.mark.parametrize(
    "after",
    [
        [nn.AvgPool2d(2), nn.Conv2d(4, 2, 1)],
        [nn.MaxPool2d(3, 1, 1), nn.Flatten(), nn.Linear(144, 2)],
        [nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.BatchNorm2d(4)],
    ],
    ids=["average pool", "flatten", "into the running mean"],
)
def test_it_comes_through(after: list[nn.Module]) -> None:
    case = open_test_case(high_bias(*after), images(1))
    changes, treated = absorb(case)
    assert "0.bias" in changes
    assert len(changes) == 2
    assert torch.allclose(outputs(treated, images(1)), outputs(case, images(1)), atol=5e-5)


@pytest.mark.parametrize(
    "after",
    [
        [nn.Conv2d(4, 2, 3, padding=1)],
        [nn.AvgPool2d(2, padding=1), nn.Conv2d(4, 2, 1)],
        [nn.ZeroPad2d(1), nn.Conv2d(4, 2, 1)],
        [nn.Conv2d(4, 2, 1, bias=False)],
        [nn.ConvTranspose2d(4, 2, 3)],
    ],
    ids=["padded", "padded pool", "zero pad", "no bias", "transposed"],
)
def test_where_it_would_not_be_exact_nothing_is_absorbed(after: list[nn.Module]) -> None:
    changes, _ = absorb(open_test_case(high_bias(*after), images(1)))
    assert changes == {}


def test_channels_at_the_bound_of_relu6_keep_their_bias() -> None:
    net = high_bias(nn.Conv2d(4, 2, 1), activation=nn.ReLU6())
    with torch.no_grad():
        net[0].weight[2] *= 0.2
        net[0].bias[2] = 1.5
    case = open_test_case(net, images(1))
    changes, treated = absorb(case)
    moved = (changes["0.bias"] != net[0].bias).nonzero().flatten().tolist()
    assert 2 in moved
    assert 1 not in moved
    assert torch.allclose(outputs(treated, images(1)), outputs(case, images(1)), atol=1e-5)


def test_it_is_part_of_equalization() -> None:
    net = high_bias(nn.Conv2d(4, 2, 3))
    with torch.no_grad():
        net[0].weight.mul_(2.0 ** torch.linspace(-4, 4, 4).view(-1, 1, 1, 1))
        net[0].bias[3] = 60.0
    case = open_test_case(net, images(1))
    done = EQUALIZE.apply(case, (), RepairContext())
    assert set(done.tensors) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    reference = outputs(case, images(1))
    assert float((outputs(done.case, images(1)) - reference).abs().max() / reference.abs().max()) < 1e-5
    after = done.case.observations["0"].channels
    assert after is not None
    assert all(low == pytest.approx(0.0, abs=1e-3) for low in after.min)
    assert_seen_as_in_a_pass(done.case)
