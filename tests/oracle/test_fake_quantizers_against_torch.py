"""The simulated network under the ranges of torch.ao's fake quantizers against torch.ao's own output, bit for bit."""

import copy
import warnings
from dataclasses import replace
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
from qdiag.pipeline.begin import Experiment, begin
from qdiag.simulate.passes.lanes import Lane, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.subject import Subject
from tests.cases import SESSION
from tests.networks.torch_ao import IMAGES, prepared, qconfig


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
