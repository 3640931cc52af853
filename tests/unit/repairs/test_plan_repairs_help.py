"""Each repair of the plan against the fault that it is for: the output gets back what the fault had taken."""

import math

import pytest
import torch
from torch import Tensor, nn

from qdiag.config import load_scheme
from qdiag.core.causes.findings import FindingSite
from qdiag.core.measures.facts import LayerFacts
from qdiag.repairs.base import RepairContext
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from tests.cases import changed_layers, open_test_case, output_sqnr_db


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def recovered_db(name: str, case: Case, *layers: str) -> float:
    treated = REPAIRS[name].apply(case, [FindingSite(layer) for layer in layers], RepairContext()).case
    return output_sqnr_db(treated) - output_sqnr_db(case)


def conv_net(channels: int = 8) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 4, 3)),
    ).eval()


IMAGES = normal(8, 3, 10, 10)


def test_clip_weights_where_one_weight_sets_the_range() -> None:
    """It multiplies a channel of almost nothing: what clipping takes from it is not missed."""
    model = conv_net(256)
    with torch.no_grad():
        model[1].weight[0] = 0.01
        model[3].weight[0, 0, 0, 0] = 4.0 * model[3].weight.abs().max()
    case = open_test_case(model, IMAGES, load_scheme("tf-uint8", ["layers.3.weights.bits=4"]))
    assert recovered_db("clip_weights", case, "3") > 2.0


@pytest.mark.parametrize("how", ["mse", "percentile", "entropy"])
def test_clip_activations_where_one_sample_sets_the_range(how: str) -> None:
    """Calibrated on 40,000 samples of which one is fifty times too large, measured on ordinary ones."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    calibration = normal(40_000, 16)
    calibration[7] *= 50.0
    scheme = load_scheme("int8", ["activations.bits=4"])
    case = open_test_case(model, calibration.split(2000), scheme, measured=normal(500, 16, seed=2))
    assert recovered_db(f"clip_activations_{how}", case) > 6.0


def test_cover_range_where_the_calibrator_clips() -> None:
    scheme = load_scheme("int8", ["activations.calibrator=percentile", "activations.percentile=90"])
    assert recovered_db("cover_range", open_test_case(conv_net(), IMAGES, scheme)) > 10.0


def test_calibrate_on_measured_where_the_data_differ() -> None:
    case = open_test_case(conv_net(), 0.1 * IMAGES, measured=normal(8, 3, 10, 10, seed=2))
    assert recovered_db("calibrate_on_measured", case) > 10.0


def test_fold_batchnorm_where_it_stands_apart() -> None:
    model = conv_net()
    with torch.no_grad():
        model[1].running_mean.fill_(20.0)
        model[0].bias.fill_(20.0)  # the convolution's output lies far from zero, and is rounded there
    case = open_test_case(model, IMAGES, load_scheme("int8", ["fold_batchnorm=false"]))
    assert recovered_db("fold_batchnorm", case) > 10.0


@pytest.mark.parametrize("scheme", ["int8", "tf-uint8"])
def test_raise_weight_scale_and_float_bias_where_the_bias_overflows(scheme: str) -> None:
    """One channel, or under one scale all of them, of almost no weight and a bias of ordinary size."""
    model = conv_net()
    with torch.no_grad():
        if scheme == "int8":
            model[3].weight[2] *= 1e-10
        else:
            model[3].weight.mul_(1e-10)
        model[3].bias[2] = -1.2157
    case = open_test_case(model, IMAGES, scheme)
    treated = REPAIRS["raise_weight_scale"].apply(case, [FindingSite("3", (2,))], RepairContext())
    assert changed_layers(case, treated.case) == {"3"}
    assert [(cost.name, cost.value) for cost in treated.costs] == [("raised_scales", 1.0)]
    weight, source = treated.case.plan.layers["3"].weight, treated.case.plan.layers["0"].output
    assert weight is not None
    assert source is not None
    scale = float(weight.scale[2]) if weight.scale.ndim else float(weight.scale)
    assert 1.2157 / (scale * float(source.scale)) == pytest.approx((2.0**31 - 1) / 1.0001, rel=1e-6)
    assert recovered_db("raise_weight_scale", case, "3") > 10.0
    assert recovered_db("float_bias", case, "3") > 10.0


def test_per_channel_weights_where_one_channel_sets_the_range() -> None:
    """Its large weights meet an input of almost nothing, and little is made of its output."""
    model, images = conv_net(), IMAGES.clone()
    images[:, 2] *= 0.001
    with torch.no_grad():
        model[0].weight[3, 2] *= 100.0
        model[3].weight[:, 3] *= 0.01
    assert recovered_db("per_channel_weights", open_test_case(model, images, "tf-uint8"), "0") > 10.0


def test_asymmetric_activations_where_values_have_one_sign() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).eval()
    scheme = load_scheme("tensorrt-int8", ["activations.calibrator=minmax", "activations.bits=4"])
    case = open_test_case(model, normal(256, 16).abs(), scheme)
    gained = recovered_db("asymmetric_activations", case)
    assert 3.0 < gained < 12.0


def test_activations_16bit_and_keep_float_where_the_activations_are_coarse() -> None:
    case = open_test_case(conv_net(), IMAGES, load_scheme("int8", ["activations.bits=4"]))
    assert recovered_db("activations_16bit", case) > 20.0
    coarse = open_test_case(conv_net(), IMAGES, load_scheme("int8", ["layers.3.weights.bits=2"]))
    assert recovered_db("keep_float", coarse, "3") > 10.0


def test_float_layers_cost_their_share_of_the_multiplications() -> None:
    case = open_test_case(conv_net(), IMAGES)
    facts = {name: LayerFacts(name, "compute", mac_count=count) for name, count in (("0", 300), ("3", 100))}
    treated = REPAIRS["keep_float"].apply(case, [FindingSite("3")], RepairContext(facts=facts))
    (cost,) = treated.costs
    assert (cost.name, cost.value, cost.unit) == ("float_mac_fraction", 25.0, "%")


@pytest.mark.parametrize(
    ("setting", "repair"),
    [
        ("accumulator_bits=16", "wide_accumulator"),
        ("pair_saturation=true", "wide_accumulator"),
        ("pair_saturation=true", "reduce_weight_bits"),
        ("pair_saturation=true", "reduce_activation_bits"),
    ],
)
def test_sums_that_saturate(setting: str, repair: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 3)).eval()
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight.sign() * (0.5 + 0.5 * torch.rand_like(model[0].weight)))
    bright = 1.0 - 0.3 * torch.rand(6, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    case = open_test_case(model, bright, load_scheme("int8", ["bias=float", setting]))
    gained = recovered_db(repair, case, "0")
    assert gained > 3.0
    assert math.isfinite(gained)
