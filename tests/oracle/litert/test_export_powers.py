"""Powers are written in float between integers, and what LiteRT has no operator for is refused by its name."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
import torch
from torch import Tensor, nn

from qdiag.batches import Batch
from qdiag.errors import CaptureError
from qdiag.exporters.litert.write import write_lite
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from tests.oracle.litert.test_export import SCHEME, planned, run_file


class Powers(nn.Module):
    """Every value is an output."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        stem = torch.relu(self.stem(x)) + 0.5
        return torch.square(stem), stem**2, stem**1.5, torch.reciprocal(stem), torch.clamp_max(stem**3, 2.0)


def test_powers_are_those_of_the_simulation_within_a_step() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8)
    network, plan = planned(Powers(), x, SCHEME)
    simulated = LaneRunner(paired_lanes(network, plan)).run_batch(Batch((x,)))
    by_node = {node: layer.name for layer in network.graph.layers for node in layer.nodes}
    outputs = [by_node[node.name] for node in network.program.graph.output_node().args[0]]  # type: ignore[union-attr]
    for name, found, lanes in zip(outputs, run_file(write_lite(network, plan, Batch((x,))), x), simulated, strict=True):
        quantizer = plan.layers[name].output
        assert isinstance(quantizer, Affine)
        scale = float(quantizer.scale)
        values = found if found.dtype == np.float32 else None
        wanted = lanes.tensors[SIMULATED].numpy()
        stored = np.rint(wanted / scale) + float(quantizer.zero_point) - (128 if quantizer.quant_min == 0 else 0)
        apart = np.abs((values / scale - wanted / scale) if values is not None else found.astype(int) - stored)
        assert apart.max() <= 3.0, (name, apart.max())  # what the convolution rounds otherwise is cubed


@pytest.mark.parametrize("function", [torch.erf, torch.tan, lambda x: 2.0**x], ids=["erf", "tan", "pow"])
def test_what_has_no_operator_is_refused_by_its_name(function: object, request: pytest.FixtureRequest) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = function(x)  # type: ignore[operator]
            return found

    x = torch.randn(2, 3, 4, 4)
    network, plan = planned(Net(), x, SCHEME)
    with pytest.raises(CaptureError, match=request.node.callspec.id) as refused:
        write_lite(network, plan, Batch((x,)))
    assert refused.value.hint
