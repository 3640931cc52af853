"""What weights multiply, channel by channel, against numpy written separately, and by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.core.graph import Layer
from qdiag.simulate.facts.inputs import InputChannels, idle_inputs, input_facts, moments_of
from tests.cases import open_test_case
from tests.unit.simulate.test_layer_facts import facts


def values(seed: int = 0) -> torch.Tensor:
    """Four channels: ordinary, far from zero, constant, and one that moves in a single place."""
    x = torch.randn(12, 4, 6, 6, generator=torch.Generator().manual_seed(seed))
    x[:, 1] = 0.01 * x[:, 1] + 30.0
    x[:, 2] = 1.7
    x[:, 3] = 0.0
    x[5, 3, 2, 2] = 1e-3
    return x


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_moments_do_not_depend_on_the_batches(batch_size: int) -> None:
    x = values()
    channels = InputChannels(is_padded=False)
    for batch in x.split(batch_size):
        channels.add(batch, 1)
    found, rows = channels.moments(), x.double().numpy().transpose(1, 0, 2, 3).reshape(4, -1)
    assert found is not None
    assert found.min.tolist() == rows.min(1).tolist() and found.max.tolist() == rows.max(1).tolist()
    np.testing.assert_allclose(found.mean.numpy(), rows.mean(1), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.variance.numpy(), rows.var(1), rtol=1e-4, atol=1e-12)
    assert found.variance[2] == 0.0
    again = moments_of(found.columns())
    assert all(torch.equal(getattr(again, name), getattr(found, name)) for name in vars(found))


def test_a_padded_layer_sees_zeros_beside_a_constant() -> None:
    channels = InputChannels(is_padded=True)
    channels.add(values(), 1)
    found = channels.moments()
    assert found is not None
    assert (float(found.min[2]), float(found.max[2])) == (0.0, pytest.approx(1.7))


KINDS = {
    "linear": (nn.Linear(4, 6), 1, 0),
    "conv": (nn.Conv2d(4, 6, 3), 1, 0),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), 2, 0),
    "transposed": (nn.ConvTranspose2d(4, 6, 2), 1, 1),
    "transposed, grouped": (nn.ConvTranspose2d(4, 6, 2, groups=2), 2, 1),
}


def dense(weight: torch.Tensor, groups: int, axis: int) -> np.ndarray:
    """The weight as outputs x inputs x kernel, zero between groups."""
    w = weight.detach().double().numpy()
    inputs = w.shape[0] if axis == 1 else w.shape[1] * groups
    outputs = w.shape[1] * groups if axis == 1 else w.shape[0]
    full = np.zeros((outputs, inputs, int(np.prod(w.shape[2:]))))
    for o in range(outputs):
        for i in range(inputs):
            if o // (outputs // groups) != i // (inputs // groups):
                continue
            own = w[i, o % (outputs // groups)] if axis == 1 else w[o, i % (inputs // groups)]
            full[o, i] = own.reshape(-1)
    return full


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("gain", [1.0, 1e4])
def test_idle_channels_by_hand(name: str, gain: float) -> None:
    """The one that moves in a single place by a thousandth is heard, unless its weights are small."""
    module, groups, axis = KINDS[name]
    with torch.no_grad():
        torch.manual_seed(2)
        weight = torch.randn_like(module.weight)
        weight.select(1 - axis, 1 if groups > 1 and axis == 0 else 3)[:] *= gain * 1e-4
    layer = Layer("x", "conv", "compute", "", (), ("x",), weight_axis=axis, groups=groups)
    channels = InputChannels(is_padded=False)
    channels.add(values(), 1)
    seen = channels.moments()
    assert seen is not None
    full = dense(weight, groups, axis)
    energy = (full**2).sum(2)
    usual = (energy * seen.variance.numpy()).sum(1)
    reach = ((seen.max - seen.min) / 2).numpy() ** 2
    expected = [
        all(energy[o, i] * reach[i] <= 1e-8 * usual[o] for o in range(len(full)) if energy[o, i] > 0) for i in range(4)
    ]
    assert expected[2] and not expected[0]
    if groups == 1:
        assert expected[3] == (gain == 1.0)
    assert idle_inputs(layer, weight, seen).tolist() == expected

    found = input_facts(layer, weight, seen)
    live = np.abs(full)[:, [not e for e in expected]].reshape(len(full), -1).max(1)
    if axis == 1 and groups > 1:  # the scale of a transposed convolution's channel is that of every group
        live = live.reshape(groups, -1).max(0)
    np.testing.assert_allclose(found.others_max_abs, live, rtol=1e-6)
    beyond = np.abs(full).max(2) > 2.0 * np.tile(live, groups if axis == 1 else 1)[:, None]
    assert set(found.idle) == {i for i in range(4) if expected[i] and beyond[:, i].any()}


def test_the_pass_tells_what_every_weight_reads() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 3)).eval()
    with torch.no_grad():
        net[0].weight[:, 3] *= 50.0
        net[0].bias[2] = -1e3  # nothing of this filter ever reaches the classifier
        net[3].weight[:, 2 * 36 : 3 * 36] = 9.0
    x = values()
    x[:, 3] = 0.0
    found = facts(open_test_case(net, x, "int8"))
    first, last = found["0"].inputs, found["3"].inputs
    assert first is not None and last is not None
    assert first.idle == (3,), "the constant moves at the edges, where zeros are padded"
    np.testing.assert_allclose(first.others_max_abs, net[0].weight[:, :3].abs().flatten(1).amax(1).detach())
    assert last.idle == tuple(range(2 * 36, 3 * 36))
    assert max(last.others_max_abs) < 1.0
    assert found["input:input"].inputs is None
