"""Programs with pairs of quantize and dequantize, as PyTorch 2 export quantization writes them, against their output.

The network is simulated under the ranges that the file holds; the file is run by torch with its integers.
"""

from pathlib import Path
from typing import Literal

import pytest
import torch
import torch.ao.quantization.fx._decomposed
from torch import Tensor, nn

from qdiag.errors import CaptureError
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.repair import RepairOptions, repair_model
from tests.cases import SESSION
from tests.networks.torch_ao import IMAGES
from tests.oracle.test_fake_quantizers_against_torch import opened, simulated

ops = torch.ops.quantized_decomposed
Stored = Literal["float", "int8"]
LOW, HIGH = -128, 127


class Pairs(nn.Module):
    """A convolution per channel and a linear layer per tensor; the weights are float, or integers alone.

    Args:
        moves_integers: the integers of an output are reshaped before they become floats again.
        is_dynamic: the scale of the last quantizer is computed from the values.
    """

    def __init__(self, stored: Stored, *, moves_integers: bool = False, is_dynamic: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 5)
        self.moves_integers, self.is_dynamic = moves_integers, is_dynamic
        self.scale: Tensor
        self.zeros: Tensor
        self.register_buffer("scale", self.conv.weight.detach().abs().amax((1, 2, 3)) / HIGH)
        self.register_buffer("zeros", torch.zeros(4, dtype=torch.int64))
        if stored == "int8":
            ints = ops.quantize_per_channel(self.conv.weight, self.scale, self.zeros, 0, LOW, HIGH, torch.int8)
            del self.conv.weight
            self.conv.register_buffer("ints", ints)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of the linear layer and of the convolution, whose integers are read by an inverse for each reader."""
        x = self.rounded(x, 0.03, -8)
        channel = (self.scale, self.zeros, 0, LOW, HIGH, torch.int8)
        ints = getattr(self.conv, "ints", None)
        ints = ops.quantize_per_channel(self.conv.weight, *channel) if ints is None else ints
        x = nn.functional.conv2d(x, ops.dequantize_per_channel(ints, *channel), self.conv.bias).relu()
        tensor = (0.01, LOW, LOW, HIGH, torch.int8)
        ints = ops.quantize_per_tensor(x, *tensor)
        first = ops.dequantize_per_tensor(ints, *tensor)
        x = ops.dequantize_per_tensor(ints.flatten(1) if self.moves_integers else ints, *tensor).flatten(1)
        x = nn.functional.linear(x, self.rounded(self.fc.weight, 0.001, 0), self.fc.bias)
        if not self.is_dynamic:
            return self.rounded(x, 0.01, 3), first
        how = ops.choose_qparams(x, LOW, HIGH, 1e-9, torch.int8)
        ints = ops.quantize_per_tensor.tensor(x, *how, LOW, HIGH, torch.int8)
        return ops.dequantize_per_tensor.tensor(ints, *how, LOW, HIGH, torch.int8), first

    def rounded(self, x: Tensor, scale: float, zero: int) -> Tensor:
        tensor = (scale, zero, LOW, HIGH, torch.int8)
        found: Tensor = ops.dequantize_per_tensor(ops.quantize_per_tensor(x, *tensor), *tensor)
        return found


def written(path: Path, model: nn.Module) -> Tensor:
    """The first output of the program that is written."""
    with torch.no_grad():
        program = torch.export.export(model.eval(), (IMAGES[:4],), dynamic_shapes=({0: torch.export.Dim.AUTO},))
        torch.export.save(program, path)
        found: Tensor = program.module()(IMAGES)[0]
    return found


@pytest.mark.parametrize("stored", ["float", "int8"])
def test_pairs_are_measured_with_their_ranges(stored: Stored, tmp_path: Path) -> None:
    expected = written(tmp_path / "pt2e.pt2", Pairs(stored))
    experiment = opened(load_subject(tmp_path / "pt2e.pt2").model, "per_channel")
    assert torch.equal(simulated(experiment), expected)
    ranges = [(one.kind, one.layer, one.outcome) for one in experiment.capture.stored_ranges]
    assert sorted(ranges) == [
        ("output", "conv", "used"),
        ("output", "fc", "used"),
        ("output", "input:x", "used"),
        ("weight", "conv", "used"),
        ("weight", "fc", "used"),
    ]
    assert not any("decomposed" in str(n.target) for n in experiment.case.network.program.graph.nodes)


def test_a_scale_that_is_computed_from_the_values_is_told_and_not_used(tmp_path: Path) -> None:
    written(tmp_path / "pt2e.pt2", Pairs("float", is_dynamic=True))
    experiment = opened(load_subject(tmp_path / "pt2e.pt2").model, "per_channel")
    outcomes = {(one.kind, one.layer): one.outcome for one in experiment.capture.stored_ranges}
    assert outcomes["output", "fc"] == "computed" and outcomes["output", "conv"] == "used"


def test_integers_that_are_moved_are_refused_with_what_to_do(tmp_path: Path) -> None:
    written(tmp_path / "pt2e.pt2", Pairs("float", moves_integers=True))
    subject = load_subject(tmp_path / "pt2e.pt2")
    with pytest.raises(
        CaptureError, match=r"integers of quantized_decomposed\.quantize_per_tensor\.default are read as"
    ) as e:
        opened(subject.model, "per_channel")
    assert e.value.hint is not None and "convert_pt2e" in e.value.hint


def test_weights_that_are_stored_as_integers_are_not_changed(tmp_path: Path) -> None:
    written(tmp_path / "pt2e.pt2", Pairs("int8"))
    subject = load_subject(tmp_path / "pt2e.pt2")
    experiment = opened(subject.model, "per_channel")
    options = RepairOptions(("equalize", "correct_bias"), float_bound=0.1)
    result, changes = repair_model(SESSION, subject, experiment.datasets, experiment.case.scheme, options)
    refused, corrected = result.steps
    assert refused.refused is not None and "its weights are computed, not stored" in refused.refused
    assert corrected.refused is None and set(changes) == {"fc.bias"}, "the integers of conv round to themselves"
