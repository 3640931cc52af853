"""Repairs of layers with one or two bits: figures against NumPy, and the settings that make the same."""

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.config import load_scheme
from qdiag.core.causes.findings import FindingSite
from qdiag.core.measures.facts import SignFacts
from qdiag.errors import RepairRefused
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.binary import Binary
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.facts.signs import sign_facts
from tests.cases import SESSION, open_test_case, snapshot

X = torch.randn(6, 4, 6, 6, generator=torch.Generator().manual_seed(0))
BINARY = ("weights.type=binary", "weights.bits=1")


def opened(*settings: str) -> Case:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Hardtanh(), nn.Conv2d(6, 5, 3)).eval()
    with torch.no_grad():
        model[0].weight[:, 0, 0, 0] *= torch.tensor([1.0, 200.0, 1.0, 300.0, 1.0, 1.0])
    return open_test_case(model, X, load_scheme("int8", (*BINARY, *settings)))


def treat(name: str, case: Case, *sites: FindingSite) -> Treatment:
    before = snapshot(case)
    done = REPAIRS[name].apply(case, sites, RepairContext())
    after = snapshot(case)
    assert all(torch.equal(before[key], after[key]) for key in before)
    return done


def weight(case: Case, layer: str = "0") -> np.ndarray:  # type: ignore[type-arg]
    return case.network.program.constants[case.network.graph.layer(layer).weight or ""].double().numpy()


def test_the_clipped_magnitude_is_that_of_numpy() -> None:
    case = opened("weights.scale=float32")
    done = treat("clip_sign_scale", case, FindingSite("0", (1, 3)))
    magnitude = np.abs(weight(case)).reshape(6, -1)
    expected = magnitude.mean(1)
    for c in (1, 3):
        # torch takes the lower of the two middle values
        median = np.sort(magnitude[c])[(magnitude.shape[1] - 1) // 2]
        expected[c] = np.minimum(magnitude[c], 3.0 * median).mean()
    found = done.case.plan.layers["0"].weight
    assert isinstance(found, Binary)
    np.testing.assert_allclose(found.alpha.numpy(), expected, rtol=1e-6)
    assert done.layers == ("0",) and not done.settings and not done.tensors
    with pytest.raises(RepairRefused, match="three times the median"):
        treat("clip_sign_scale", case, FindingSite("2"))
    with pytest.raises(RepairRefused, match="no layer here has binary weights with a magnitude"):
        treat("clip_sign_scale", opened(), FindingSite("0"))


def test_weights_are_centred_over_the_input_channels() -> None:
    case = opened("weights.scale=float32")
    found = treat("center_weights", case, FindingSite("2")).case.plan.layers["2"].weight
    assert found is not None
    own = weight(case, "2")
    centred = np.clip(own - own.mean(1, keepdims=True), -1.0, 1.0)
    expected = np.sign(centred) * np.abs(centred).mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(found.fake_quantize(torch.from_numpy(own).float()).numpy(), expected, rtol=1e-5)


def test_signs_get_a_magnitude_per_channel() -> None:
    case = opened()
    done = treat("scale_signs", case, FindingSite("2"))
    found = done.case.plan.layers["2"].weight
    assert isinstance(found, Binary)
    np.testing.assert_allclose(found.alpha.numpy(), np.abs(weight(case, "2")).mean((1, 2, 3)), rtol=1e-6)
    assert [(cost.name, cost.value) for cost in done.costs] == [("extra_scales", 5.0)]
    with pytest.raises(RepairRefused, match="a magnitude per channel already"):
        treat("scale_signs", done.case, FindingSite("2"))


@pytest.mark.parametrize("scaled", [(), ("weights.scale=float32",), ("weights.scale=float32", "weights.center=true")])
def test_eight_bits_are_integers_again(scaled: tuple[str, ...]) -> None:
    case = opened(*scaled, "activations.type=binary", "activations.bits=1")
    done = treat("eight_bits", case, FindingSite("0"))
    plan = done.case.plan.layers
    assert isinstance(plan["0"].weight, Affine) and isinstance(plan["0"].output, Affine)
    assert isinstance(plan["2"].weight, Binary)
    assert isinstance(case.plan.layers["0"].output, Binary)
    bits = case.network.program.constants[case.network.graph.layer("0").weight or ""].numel()
    assert [(cost.name, cost.value) for cost in done.costs] == [("extra_weight_bytes", bits * 7 / 8)]
    same = with_scheme(SESSION, case, load_scheme("int8", (*BINARY, *scaled, *ACTIVATIONS, *done.settings)))
    assert same.plan.layers["0"].weight.key == plan["0"].weight.key  # type: ignore[union-attr]
    assert same.plan.layers["0"].output.key == plan["0"].output.key  # type: ignore[union-attr]
    with pytest.raises(RepairRefused, match="nothing here has one or two bits"):
        treat("eight_bits", done.case, FindingSite("0"))


ACTIVATIONS = ("activations.type=binary", "activations.bits=1")


def test_eight_bits_everywhere_take_single_layers_along() -> None:
    case = opened("activations.bits=8", "layers.0.weights.scale=float32")
    everywhere = REPAIRS["eight_bits"].everywhere
    assert everywhere is not None
    change = everywhere(case)
    assert change is not None
    treated = with_scheme(SESSION, case, change.scheme)
    assert all(isinstance(treated.plan.layers[name].weight, Affine) for name in ("0", "2"))
    assert everywhere(treated) is None


def test_eight_bits_everywhere_leave_out_layers_that_follow_the_rest() -> None:
    case = opened("layers.0.activations.bits=16")
    everywhere = REPAIRS["eight_bits"].everywhere
    assert everywhere is not None
    change = everywhere(case)
    assert change is not None
    assert not any(setting.startswith("layers.") for setting in change.settings)
    treated = with_scheme(SESSION, case, change.scheme)
    assert all(isinstance(treated.plan.layers[name].weight, Affine) for name in ("0", "2"))


def test_figures_of_signs_are_those_of_numpy() -> None:
    case = opened("weights.scale=float32", "weights.center=true")
    own = weight(case)
    centred = np.clip(own - own.mean(1, keepdims=True), -1.0, 1.0).reshape(6, -1)
    found = sign_facts(torch.from_numpy(own).float(), 0, case.plan.layers["0"].weight)
    assert isinstance(found, SignFacts)
    assert found.fan_in == 36
    np.testing.assert_allclose(found.positive_fraction, (centred >= 0).mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.mean_abs, np.abs(centred).mean(1), rtol=1e-5)
    np.testing.assert_allclose(found.max_abs, np.abs(centred).max(1), rtol=1e-6)
    np.testing.assert_allclose(found.median_abs, np.sort(np.abs(centred), 1)[:, 17], rtol=1e-5)
    assert sign_facts(torch.from_numpy(own).float(), 0, None) is None
