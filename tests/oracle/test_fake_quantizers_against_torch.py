"""The simulated network under the ranges of torch.ao's fake quantizers against torch.ao's own output, bit for bit."""

import copy
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.ao.quantization import QConfigMapping, disable_observer
from torch.ao.quantization.quantize_fx import prepare_qat_fx

from qdiag.batches import Batch, Datasets
from qdiag.config import load_preset
from qdiag.core.scheme import Granularity
from qdiag.loaders.data.sources import batches_from
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.models.state_dict import load_weights
from qdiag.pipeline.begin import Experiment, begin
from qdiag.simulate.passes.lanes import Lane, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.subject import Subject
from tests.cases import SESSION
from tests.networks.torch_ao import IMAGES, Stubbed, prepared, qconfig


def opened(model: nn.Module, weights: Granularity) -> Experiment:
    """Under int8 with biases in float, as torch.ao trains them; calibrated on other values, which must not count."""
    scheme = load_preset("int8")
    scheme = replace(scheme, bias="float", weights=replace(scheme.weights, granularity=weights))
    other = batches_from(3.0 * IMAGES + 1.0, 16)
    return begin(SESSION, Subject(model, "module", "net", "net"), Datasets(other, other, ""), scheme)


def simulated(experiment: Experiment) -> Tensor:
    case = experiment.case
    outputs = LaneRunner([Lane(case.network), Lane(case.network, case.plan)]).run_batch(Batch((IMAGES,)))
    found: Tensor = pick(outputs, 1)[0]
    return found


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
def test_fused_modules_of_eager_mode(weights: Literal["per_channel", "per_tensor"]) -> None:
    """Conv-BN-ReLU, Conv-BN, Conv-ReLU and Linear between stubs."""
    _, trained = prepared(weights)
    with torch.no_grad():
        expected = trained(IMAGES)
    experiment = opened(trained, weights)
    assert torch.equal(simulated(experiment), expected)
    stored = experiment.capture.stored_ranges
    assert [one.outcome for one in stored] == ["used"] * 9
    assert [one.layer for one in stored if one.kind == "output"] == ["input:x", "conv1", "conv2", "conv3", "fc"]
    assert experiment.case.plan.quantized_count == 9
    with torch.no_grad():
        assert torch.equal(trained(IMAGES), expected)


def test_a_trace_of_a_prepared_network() -> None:
    """Its weights are folded by operations, and unfolded behind the layer: conv(x, w * s) / s, then the BatchNorm."""
    _, trained = prepared()
    with torch.no_grad():
        expected = trained(IMAGES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and is in use
        traced = torch.jit.trace(trained, IMAGES[:4], check_trace=False)  # type: ignore[no-untyped-call]
    experiment = opened(traced, "per_channel")
    assert torch.equal(simulated(experiment), expected)
    stored = experiment.capture.stored_ranges
    assert [(one.module, one.outcome) for one in stored[:3]] == [
        ("quant.activation_post_process", "used"),
        ("conv1.weight_fake_quant", "used"),
        ("conv1.activation_post_process", "used"),
    ]
    assert [layer.kind for layer in experiment.case.network.graph.layers] == ["input", "conv", "conv", "conv", "linear"]


class Plain(Stubbed):
    """The same network as its author writes it for training in float, without stubs."""

    def __init__(self) -> None:
        super().__init__()
        del self.quant, self.dequant

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu3(self.conv3(self.bn2(self.conv2(x))))
        found: Tensor = self.fc(x.flatten(1))
        return found


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
def test_a_state_dict_and_the_plain_network(weights: Literal["per_channel", "per_tensor"]) -> None:
    """The names tell where fake quantizers stood, the bounds their integers; the file has prefixes of a wrapper."""
    _, trained = prepared(weights)
    with torch.no_grad():
        expected = trained(IMAGES)
    plain = Plain().eval()
    state = {f"module.{name}": value for name, value in trained.state_dict().items()}
    load_weights(plain, state, at="qat.pth", arch="net.py:Plain")
    experiment = opened(plain, weights)
    assert torch.equal(simulated(experiment), expected)
    ranges = {one.module: (one.outcome, one.quant_min, one.quant_max) for one in experiment.capture.stored_ranges}
    assert len(ranges) == 9
    assert ranges["conv1.weight_fake_quant"] == ("used", -128, 127)
    assert ranges["quant.activation_post_process"] == ("used", 0, 255)
    assert {outcome for outcome, *_ in ranges.values()} == {"used"}


class Written(nn.Module):
    """Operations of fake quantization that its author wrote, with numbers and tensors for scales."""

    def __init__(self, *, last_scale: Literal["stored", "computed"] = "stored") -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 5)
        self.last_scale = last_scale
        self.scale: Tensor
        self.register_buffer("scale", self.conv.weight.detach().abs().amax((1, 2, 3)) / 127)
        self.register_buffer("step", torch.tensor([0.02]))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fake_quantize_per_tensor_affine(x, 0.03, 120, 0, 255)
        zeros = torch.zeros(4, dtype=torch.int32)
        weight = torch.fake_quantize_per_channel_affine(self.conv.weight, self.scale, zeros, 0, -128, 127)
        x = nn.functional.conv2d(x, weight, self.conv.bias).relu()
        x = torch.fake_quantize_per_tensor_affine(x, 0.01, 0, 0, 255).flatten(1)
        x = nn.functional.linear(
            x, torch.fake_quantize_per_tensor_affine(self.fc.weight, 0.001, 0, -128, 127), self.fc.bias
        )
        step = x.abs().amax().reshape(1) / 127 if self.last_scale == "computed" else self.step * 1.5
        return torch.fake_quantize_per_tensor_affine(x, step, torch.full((1,), 128, dtype=torch.int32), 0, 255)


def test_operations_in_a_program_that_a_file_holds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Written().eval()
    with torch.no_grad():
        expected = model(IMAGES)
        program = torch.export.export(model, (IMAGES[:4],), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    torch.export.save(program, tmp_path / "qat.pt2")
    subject = load_subject(tmp_path / "qat.pt2")
    experiment = opened(subject.model, "per_channel")
    assert {one.outcome for one in experiment.capture.stored_ranges} == {"used"}
    assert experiment.case.plan.quantized_count == 5
    assert torch.equal(simulated(experiment), expected)


def test_a_scale_that_is_computed_from_the_values_is_told_and_not_used() -> None:
    experiment = opened(Written(last_scale="computed").eval(), "per_channel")
    last = experiment.capture.stored_ranges[-1]
    assert (last.layer, last.kind, last.outcome, last.channel_count) == ("fc", "output", "computed", 0)
    assert not experiment.case.scheme.gives_range_of("fc")


def test_a_graph_module_of_fx() -> None:
    """The fake quantizer before the pooling stands after it as well."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 5, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao has moved to torchao, and is in use
        mapping = QConfigMapping().set_global(qconfig("per_channel"))
        trained = prepare_qat_fx(copy.deepcopy(plain).train(), mapping, (IMAGES,))
        with torch.no_grad():
            for part in IMAGES.split(8):
                trained(part)
        trained = trained.eval().apply(disable_observer)
        with torch.no_grad():
            expected = trained(IMAGES)
    experiment = opened(trained, "per_channel")
    assert torch.equal(simulated(experiment), expected)
    assert {one.outcome for one in experiment.capture.stored_ranges} == {"used"}
