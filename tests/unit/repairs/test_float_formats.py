"""Repairs under formats that are floats: those that need integers or a range refuse, and say why."""

import pytest
import torch
from torch import nn

from qdiag.config import load_scheme
from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import RepairContext
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from tests.cases import SESSION, open_test_case, output_error

IMAGES = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    return {preset: open_test_case(net, IMAGES, preset) for preset in ("fp8-e4m3", "mxfp4", "nvfp4", "w4a16-g128")}


def applied(case: Case, name: str) -> Case:
    return REPAIRS[name].apply(case, [FindingSite("0")], RepairContext(session=SESSION)).case


@pytest.mark.parametrize(
    ("preset", "repair", "reason"),
    [
        ("fp8-e4m3", "asymmetric_activations", "without a zero point"),
        ("fp8-e4m3", "reduce_weight_bits", "are floats"),
        ("fp8-e4m3", "reduce_activation_bits", "is a float"),
        ("fp8-e4m3", "clip_activations_entropy", "calibrator = entropy with type = float"),
        ("mxfp4", "per_channel_weights", "a scale per channel or finer"),
        ("mxfp4", "clip_weights", "calibrator = mse with type = block_float"),
        ("nvfp4", "clip_weights", "calibrator = mse with type = block_float"),
        ("mxfp4", "clip_activations_mse", "no output here is quantized"),
        ("mxfp4", "asymmetric_activations", "no output here is quantized"),
        ("w4a16-g128", "clip_activations_mse", "calibrator = mse with scale = none"),
        ("w4a16-g128", "activations_16bit", "fewer than 16 bits"),
        ("w4a16-g128", "raise_weight_scale", ""),
        ("fp8-e4m3", "float_bias", ""),
    ],
)
def test_refused(cases: dict[str, Case], preset: str, repair: str, reason: str) -> None:
    with pytest.raises(RepairRefused) as caught:
        applied(cases[preset], repair)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("preset", "repair"),
    [
        ("fp8-e4m3", "per_channel_weights"),
        ("fp8-e4m3", "activations_16bit"),
        ("w4a16-g128", "clip_weights"),
        ("mxfp4", "keep_float"),
    ],
)
def test_applied(cases: dict[str, Case], preset: str, repair: str) -> None:
    treated = applied(cases[preset], repair)
    assert output_error(treated).error_sq_sum < output_error(cases[preset]).error_sq_sum


@pytest.mark.parametrize("preset", ["fp8-e4m3", "mxfp4", "nvfp4"])
def test_sixteen_bits_for_the_whole_network_are_float16(cases: dict[str, Case], preset: str) -> None:
    everywhere = REPAIRS["activations_16bit"].everywhere
    assert everywhere is not None
    change = everywhere(cases[preset])
    assert change is not None
    activations = change.scheme.activations
    assert (activations.type, activations.float_format.name, activations.scale_name) == ("float", "float16", "none")
    assert "activations.element=float16" in change.settings
    assert load_scheme(preset, change.settings).activations == activations, "what a report proposes can be typed"
    assert everywhere(cases["w4a16-g128"]) is None
