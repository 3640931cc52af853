"""What the experiment on separable convolutions reads off its networks, and what it says of a failure."""

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.reading.words.reproductions import WORDS
from qdiag.reproduce.experiments.mobilenet import (
    MOBILENET,
    depthwise_gains,
    folded_widths,
    is_depthwise,
    max_over_median,
    reasons,
    repaired,
    start_depthwise,
)
from qdiag.zoo import build
from tests.unit.reproduce.sets import result_of


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Variant (a) with two channels of the first depthwise layer without variance."""
    torch.manual_seed(0)
    model = build("mobilenet_v1_small", {"width": 0.2, "classes": 3})
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    model.get_buffer("blocks.0.dw_bn.running_var")[:2] = 1e-12
    return model


def test_gains_and_widths_are_those_of_the_folded_weights(network: nn.Module) -> None:
    state = {name: tensor.detach().numpy().astype(np.float64) for name, tensor in network.state_dict().items()}
    gains, widths = depthwise_gains(network), folded_widths(network)
    assert list(gains) == list(widths) == [f"blocks.{index}.dw" for index in range(7)]
    assert [dead for _, dead in gains.values()] == [2, 0, 0, 0, 0, 0, 0]
    for name, (gain, _) in gains.items():
        wanted = np.abs(state[f"{name}_bn.weight"]) / np.sqrt(state[f"{name}_bn.running_var"] + 1e-3)
        assert gain.numpy() == pytest.approx(wanted, rel=1e-5)
        widest = wanted * np.abs(state[f"{name}.weight"]).max((1, 2, 3))
        assert widths[name].numpy() == pytest.approx(widest, rel=1e-5)


def test_other_variants_have_no_gains_there_and_the_widths_of_their_weights() -> None:
    model = build("mobilenet_v1_small", {"width": 0.2, "classes": 3, "variant": "b"})
    kernel = model.get_parameter("blocks.3.dw.weight").detach()
    assert depthwise_gains(model) == {}
    assert torch.equal(folded_widths(model)["blocks.3.dw"], kernel.abs().amax((1, 2, 3)))


def test_the_widest_channel_is_compared_with_the_median_one() -> None:
    assert max_over_median(torch.tensor([1.0, 2.0, 4.0, 3.0, 30.0])) == 10.0


def test_depthwise_kernels_start_as_in_the_source_and_alone(network: nn.Module) -> None:
    model = build("mobilenet_v1_small", {"width": 1.0, "classes": 3})
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    start_depthwise(model, 3)
    kernels = [value.detach() for name, value in model.named_parameters() if is_depthwise(name, value)]
    drawn = torch.cat([kernel.flatten() for kernel in kernels])
    assert len(kernels) == 7 and float(drawn.abs().max()) <= 0.18
    assert float(drawn.std()) == pytest.approx(0.09 * 0.8796, rel=0.02)  # a normal distribution cut off at 2 deviations
    others = [name for name, value in model.named_parameters() if not is_depthwise(name, value)]
    assert all(torch.equal(model.get_parameter(name), before[name]) for name in others)


def test_the_repaired_copy_has_the_mean_variance_of_the_others(network: nn.Module) -> None:
    before = network.get_buffer("blocks.0.dw_bn.running_var").clone()
    fixed = repaired(network)
    after = fixed.get_buffer("blocks.0.dw_bn.running_var")
    assert after[:2].tolist() == pytest.approx([float(before[2:].mean())] * 2)
    assert torch.equal(after[2:], before[2:])
    assert torch.equal(network.get_buffer("blocks.0.dw_bn.running_var"), before)


@pytest.mark.parametrize(
    ("dead", "key", "wanted"),
    [
        (0.0, "a_falls", "few_dead"),
        (3.0, "a_falls", "dead_harmless"),
        (3.0, "fix_helps", "live_outliers"),
        (3.0, "c_holds", "loses_elsewhere"),
    ],
)
def test_what_does_not_come_out_is_explained_by_the_figures(dead: float, key: str, wanted: str) -> None:
    drops = {("a", "drop"): 3.0, ("a", "int8"): 90.0, ("a_fixed", "int8"): 91.0, ("c", "drop"): 7.0}
    figures = {**drops, ("a", "dead"): dead, ("a", "stretch"): 40.0, ("a_fixed", "stretch"): 7.0, ("c", "stretch"): 9.0}
    result: Reproduction = result_of(MOBILENET, figures)
    judged = next(one for one in result.judged if one.expectation.key == key)
    found = {reason.key: reason for reason in reasons(result, judged)}
    assert wanted in found
    words = WORDS["mobilenet"].reasons[wanted](found[wanted].figures)
    assert any(figure in words for figure in ("40.0", "7.0", "9.0"))
