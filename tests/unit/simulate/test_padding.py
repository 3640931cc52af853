"""Padding with a value that no integer of the tensor stands for."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.simulate.case import Case
from qdiag.simulate.passes.lanes import LOCAL, REFERENCE, SIMULATED
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from tests.cases import open_test_case
from tests.deployed import export
from tests.processor import as_here

IMAGES = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(0))
VALUE = 0.4321


class Padded(nn.Module):
    def __init__(self, value: float, mode: str = "constant") -> None:
        super().__init__()
        self.value, self.mode = value, mode
        self.conv = nn.Conv2d(2, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        value = self.value if self.mode == "constant" else None
        return self.conv(F.pad(x, (1, 1, 1, 1), self.mode, value))


def read_by_conv(case: Case) -> list[Tensor]:
    """What the convolution reads, in each lane."""
    found: list[Tensor] = []

    class Seen(LayerObserver):
        def before(self, layer, node, args, kwargs) -> None:  # type: ignore[no-untyped-def]
            if layer.kind == "conv":
                found.extend(args[0].tensors)

    LaneRunner(paired_lanes(case.network, case.plan), [Seen()]).run_batch(Batch((IMAGES,)))
    return found


@pytest.mark.parametrize("value", [VALUE, 1e9])
def test_the_value_becomes_an_integer_of_the_tensor(value: float) -> None:
    case = open_test_case(Padded(value).eval(), IMAGES)
    quantizer = case.plan.layers["input:x"].output
    assert quantizer is not None
    read = read_by_conv(case)
    expected = quantizer.dequantize(quantizer.quantize(torch.tensor([value])))  # type: ignore[attr-defined]
    assert float(read[REFERENCE][0, 0, 0, 0]) == pytest.approx(value)
    assert float(expected) != pytest.approx(value, rel=1e-5)
    for lane in (LOCAL, SIMULATED):
        assert float(read[lane][0, 0, 0, 0]) == float(expected)
        assert torch.equal(quantizer.fake_quantize(read[lane]), read[lane])


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_values_of_the_tensor_itself_are_integers_already(mode: str) -> None:
    case = open_test_case(Padded(VALUE, mode).eval(), IMAGES)
    read = read_by_conv(case)
    assert torch.equal(read[SIMULATED], F.pad(read[SIMULATED][:, :, 1:-1, 1:-1], (1, 1, 1, 1), mode))


def test_a_tensor_in_float_is_padded_with_the_value_as_it_is() -> None:
    case = open_test_case(Padded(VALUE).eval(), IMAGES, "w8a32")
    assert float(read_by_conv(case)[SIMULATED][0, 0, 0, 0]) == pytest.approx(VALUE)


def test_no_integer_differs_from_onnxruntime() -> None:
    """Out of range, the value is limited too."""
    pytest.importorskip("onnxruntime")
    scheme = as_here(replace(load_preset("int8"), arithmetic="ort"))
    exported = export(Padded(1e3).eval(), ((IMAGES,), {}), scheme)
    assert exported.differing() == (0.0, 0)
