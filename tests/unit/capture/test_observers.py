"""A network that torch.ao has prepared is the float network, whatever its observers and fake quantizers are set to."""

import copy
import warnings

import pytest
import torch
from torch import nn

import qdiag

IMAGES = torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def prepared(*, training: bool) -> tuple[nn.Module, nn.Module]:
    """A float network, and the same with observers, or with fake quantizers."""
    from torch.ao.quantization import get_default_qat_qconfig_mapping, get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import prepare_fx, prepare_qat_fx

    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(128, 5)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao has moved to torchao, and is in use
        if training:
            mapping = get_default_qat_qconfig_mapping("x86")
            return plain, prepare_qat_fx(copy.deepcopy(plain).train(), mapping, (IMAGES,)).eval()
        return plain, prepare_fx(copy.deepcopy(plain), get_default_qconfig_mapping("x86"), (IMAGES,))


@pytest.mark.filterwarnings("ignore")
def test_observers_are_no_layers() -> None:
    plain, observed = prepared(training=False)
    before = copy.deepcopy(observed.state_dict())
    expected, result = qdiag.measure(plain, IMAGES), qdiag.measure(observed, IMAGES)
    assert result.capture.route == "export"
    assert [r.kind for r in result.records] == [r.kind for r in expected.records]
    assert result.float_ops == ()
    assert result.outputs[0].error.sqnr_db == pytest.approx(expected.outputs[0].error.sqnr_db, abs=0.01)
    assert all(torch.equal(value, before[key]) for key, value in observed.state_dict().items())
    assert not any("forward" in module.__dict__ for module in observed.modules())


@pytest.mark.filterwarnings("ignore")
def test_fake_quantizers_are_no_layers_and_what_they_have_not_observed_is_calibrated() -> None:
    plain, network = prepared(training=True)
    before = copy.deepcopy(network.state_dict())
    expected, result = qdiag.measure(plain, IMAGES), qdiag.measure(network, IMAGES)
    assert [r.kind for r in result.records] == [r.kind for r in expected.records]
    assert result.outputs[0].error.sqnr_db == pytest.approx(expected.outputs[0].error.sqnr_db, abs=0.01)
    outcomes = [stored.outcome for stored in result.capture.stored_ranges]
    assert sorted(outcomes) == ["no place", *["no range"] * 7]  # one rounds again behind the flattening
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any("forward" in module.__dict__ for module in network.modules())
