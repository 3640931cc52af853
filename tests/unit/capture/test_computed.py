"""Weights and biases that `forward` computes are parameters of the layer: the figures of the plain layer."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

import qdiag
from qdiag.capture.rewrites.computed import stored_name
from tests.figures import top1_of
from tests.networks.computed import (
    HyperNetwork,
    JoinedBiases,
    PlainRecurrence,
    Standardized,
    SummedBias,
    UnrolledRecurrence,
)

IMAGES = torch.randn(24, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def figures(result: qdiag.Measurement) -> list[float]:
    return [figure for r in result.records for figure in (r.local.sqnr_db, r.propagated.sqnr_db)]


def plain_stack() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.Flatten(), nn.Linear(512, 5)
    ).eval()


def weight_normed(network: nn.Sequential) -> None:
    for index in (0, 3, 5):
        parametrizations.weight_norm(network[index])


def hooked_weight_norm(network: nn.Sequential) -> None:
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(network[3])


def spectrally_normed(network: nn.Sequential) -> None:
    parametrizations.spectral_norm(network[5])


def pruned(network: nn.Sequential) -> None:
    for index in (0, 3, 5):
        prune.l1_unstructured(network[index], "weight", amount=0.4)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("change", [weight_normed, hooked_weight_norm, spectrally_normed, pruned])
@pytest.mark.parametrize("scheme", ["int8", "w4a8"])
def test_a_computed_weight_reads_as_the_stored_one(change: Callable[[nn.Sequential], None], scheme: str) -> None:
    computed = plain_stack()
    change(computed)
    computed.eval()
    stored = plain_stack()
    with torch.no_grad():
        for index in (0, 3, 5):
            stored[index].weight.copy_(computed[index].weight)
    expected = qdiag.measure(stored, IMAGES, scheme=scheme)
    result = qdiag.measure(computed, IMAGES, scheme=scheme)
    assert [r.name for r in result.records] == [r.name for r in expected.records]
    for record, other in zip(result.records, expected.records, strict=True):
        assert record.local.sqnr_db == pytest.approx(other.local.sqnr_db, abs=0.05)
        assert record.propagated.sqnr_db == pytest.approx(other.propagated.sqnr_db, abs=0.1)
        assert (record.weight is None) == (other.weight is None)
        if record.weight is not None and other.weight is not None:
            assert (record.weight.name, record.weight.bits) == (other.weight.name, other.weight.bits)
            assert record.weight.granularity == other.weight.granularity
    assert result.capture.folded_batchnorms == expected.capture.folded_batchnorms == ("1",)
    assert result.float_ops == ()


def test_standardized_weights_are_quantized_as_weights() -> None:
    network = Standardized().eval()
    stored = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval()
    with torch.no_grad():
        stored[0].weight.copy_(network.standardized())
        stored[0].bias.copy_(network.conv.bias)
    result, expected = qdiag.measure(network, IMAGES), qdiag.measure(stored, IMAGES)
    assert result.record("conv").weight is not None
    assert figures(result) == pytest.approx(figures(expected), abs=0.02)


@pytest.mark.parametrize("network", [SummedBias, JoinedBiases])
def test_a_computed_bias_is_the_layers(network: type[SummedBias | JoinedBiases]) -> None:
    torch.manual_seed(1)
    net = network().eval()
    stored = net.stored()
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        labels = net(x).argmax(1)
        torch.testing.assert_close(net(x), stored(x))
    for scheme in ("int8", "tf-uint8"):
        result = qdiag.measure(net, (x, labels), scheme=scheme)
        expected = qdiag.measure(stored, (x, labels), scheme=scheme)
        assert top1_of(result.task) is not None
        assert top1_of(result.task).reference_percent == 100.0
        assert figures(result) == pytest.approx(figures(expected), abs=0.02)


def test_an_unrolled_recurrence_is_right_in_float() -> None:
    """Two biases are added in every step; without them the float network itself was wrong."""
    torch.manual_seed(0)
    net = UnrolledRecurrence().eval()
    x = torch.randn(80, 6, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        labels = PlainRecurrence(net)(x).argmax(1)
    result = qdiag.measure(net, (x, labels))
    assert top1_of(result.task) is not None
    assert top1_of(result.task).reference_percent == 100.0
    weights = {r.weight.name for r in result.records if r.weight is not None}
    assert weights == {"w_ih", "w_hh", "head.weight"}


def test_a_bias_that_depends_on_the_input_is_added() -> None:
    torch.manual_seed(0)
    net = HyperNetwork().eval()
    x = torch.randn(32, 3, 6, 6, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        labels = net(x).argmax(1)
    result = qdiag.measure(net, (x, labels))
    assert top1_of(result.task) is not None
    assert top1_of(result.task).reference_percent == 100.0
    assert result.outputs[0].error.sqnr_db > 20.0


def test_repairs_do_not_write_what_is_computed_and_measure_the_rest() -> None:
    """A diagnosis with every repair runs through; the module is as it was."""
    network = plain_stack()
    weight_normed(network)
    with torch.no_grad():
        network[0].parametrizations.weight.original0[3] *= 400.0
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        labels = network(IMAGES).argmax(1)
    result = qdiag.diagnose(network, (IMAGES, labels), scheme="tf-uint8")
    assert top1_of(result.measurement.task) is not None
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    trials = [trial for cause in result.ranking.causes for trial in cause.trials]
    assert any(trial.recovery is not None for trial in trials)
    assert any("computed" in (trial.refused or "") for trial in trials if "equalize" in trial.repair)


def test_names_of_what_a_weight_is_computed_from() -> None:
    assert stored_name(["a.b.parametrizations.weight.original"]) == "a.b.weight"
    assert stored_name(["parametrizations.weight.original0", "parametrizations.weight.original1"]) == "weight"
    assert stored_name(["fc.weight_orig", "fc.weight_u", "fc.weight_v"]) == "fc.weight"
    assert stored_name(["conv.weight", "conv.gain"]) == "conv.weight"
    assert stored_name(["q.weight", "k.weight"]) is None
    assert stored_name([]) is None


def test_a_functional_dropout_mask_is_no_constant() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(5, 4))

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, F.dropout(self.weight, 0.5))

    with pytest.raises(qdiag.QdiagError, match="network is random"):
        qdiag.measure(Masked().eval(), torch.randn(8, 4))
