"""A plan written as a LiteRT file: its integers in the runtime are next to those of the simulation."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

pytest.importorskip("ai_edge_litert")
from qdiag.batches import Batch
from qdiag.config import change_scheme, load_preset
from qdiag.core.progress import NoProgress
from qdiag.core.scheme import QuantScheme
from qdiag.errors import CaptureError, ConfigError
from qdiag.exporters.litert.number_types import as_affine
from qdiag.exporters.litert.write import LiteFile, write_lite
from qdiag.litert.load import load_network
from qdiag.litert.read import parse
from qdiag.loaders.data.sources import batches_from
from qdiag.numerics.quantizers.affine import Affine
from qdiag.pipeline.preparation.prepare import prepare
from qdiag.plan import QuantPlan
from qdiag.simulate.calibrate import observe_network
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.plan_builder import build_plan
from qdiag.subject import Subject
from tests.oracle.litert.against_litert import interpreter

Array = npt.NDArray[Any]
SCHEME = load_preset("int8")


class Net(nn.Module):
    """What CNNs are made of; every value is an output, so that every site is compared."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2d(8, 8, 1, bias=False)
        self.wide = nn.Conv2d(8, 12, 3, padding=2, dilation=2)
        self.head = nn.Linear(20, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        stem = F.relu6(self.stem(x))
        depthwise = torch.relu(self.depthwise(stem))
        point = self.point(depthwise)
        total = torch.relu(stem + point)
        wide = F.leaky_relu(self.wide(total), 0.1)
        short = F.pad(total[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        pooled = F.max_pool2d(wide, 2)
        joined = torch.cat([F.avg_pool2d(total, 2), pooled], 1)
        gate = torch.sigmoid(joined) * joined
        difference = short - pooled
        mean = gate.mean((2, 3))
        return stem, depthwise, point, total, wide, joined, gate, difference, mean, self.head(mean)


LAYERS = ("stem", "depthwise", "point", "add", "leaky_relu", "concat", "mul", "sub", "pool#2", "head")


def planned(net: nn.Module, x: Tensor, scheme: QuantScheme) -> tuple[Network, QuantPlan]:
    data = batches_from([Batch((x,))])
    _, network, _ = prepare(Subject(net.eval(), "module", "net", "Net"), (data,), fold=True, device=torch.device("cpu"))
    return network, build_plan(network, observe_network(network, data, scheme, NoProgress()), scheme)


def run_file(file: LiteFile, x: Tensor) -> list[Array]:
    """Outputs of the reference kernels as integers, channels first."""
    made = interpreter(file.content)
    described = made.get_input_details()[0]
    found = []
    for sample in x:
        image = sample.permute(1, 2, 0)[None].numpy()
        if described["dtype"] == np.int8:
            scale, zero = described["quantization"]
            image = np.clip(np.rint(image / np.float32(scale)) + zero, -128, 127).astype(np.int8)
        made.set_tensor(described["index"], image)
        made.invoke()
        outputs = [made.get_tensor(d["index"]) for d in made.get_output_details()]
        found.append([o.transpose(0, 3, 1, 2) if o.ndim == 4 else o for o in outputs])
    return [np.concatenate(values) for values in zip(*found, strict=True)]


@pytest.fixture(scope="module")
def case() -> tuple[Network, QuantPlan, LiteFile, Tensor]:
    torch.manual_seed(0)
    net, x = Net(), torch.randn(4, 3, 12, 12)
    network, plan = planned(net, x, SCHEME)
    return network, plan, write_lite(network, plan, Batch((x,))), x


def test_the_runtime_computes_the_integers_of_the_plan(case: Any) -> None:
    """Kernels and simulation round otherwise, and what differs goes through all layers behind it."""
    network, plan, file, x = case
    simulated = LaneRunner(paired_lanes(network, plan)).run_batch(Batch((x,)))
    for name, integers, lanes in zip(LAYERS, run_file(file, x), simulated, strict=True):
        quantizer = plan.layers[name].output
        assert isinstance(quantizer, Affine) and integers.dtype == np.int8
        wanted = as_affine(quantizer, name).quantize(lanes.tensors[SIMULATED]).numpy()
        apart = np.abs(integers.astype(int) - wanted)
        assert apart.max() <= 3 and (apart > 0).mean() < 0.3, (name, apart.max(), (apart > 0).mean())


def test_tensors_have_the_names_of_layers_and_the_numbers_of_the_plan(case: Any) -> None:
    network, plan, file, _ = case
    graph = parse(file.content, "net.tflite")
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    assert set(file.integers) == {layer.name for layer in network.graph.layers}
    for layer, name in file.integers.items():
        quantizer = as_affine(plan.layers[layer].output, layer)
        stored = tensors[name].quantization
        assert stored is not None
        assert stored.scales == quantizer.scale.numpy() and stored.zero_points == int(quantizer.zero_point)
    weight = tensors["depthwise.weight"]
    assert weight.shape == (1, 3, 3, 8) and weight.dtype == np.int8 and weight.quantization is not None
    assert weight.quantization.axis == 3 and weight.quantization.scales.shape == (8,)
    assert tensors["depthwise.bias"].dtype == np.int32


def test_the_file_is_read_as_the_network_of_its_numbers(case: Any) -> None:
    """The float network inside has rounded weights, and is near the one that was written."""
    network, _, file, x = case
    read = load_network(file.content, "net.tflite").eval()
    assert read.source.is_quantized
    found = list(read(x).values())
    wanted = network.program
    from qdiag.capture.program import Runner

    for one, other in zip(found, Runner(wanted)((x,)), strict=True):
        noise = (one - other).double().square().sum() / other.double().square().sum()
        assert one.shape == other.shape and float(noise) < 1e-3


def test_a_layer_in_float_stands_between_integers() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(144, 3))
    x = torch.randn(2, 3, 8, 8)
    network, plan = planned(net, x, replace(SCHEME, float_layers=("2",)))
    file = write_lite(network, plan, Batch((x,)))
    kinds = [operator.kind for operator in parse(file.content, "f").operators]
    assert kinds == ["CONV_2D", "DEQUANTIZE", "CONV_2D", "QUANTIZE", "TRANSPOSE", "RESHAPE", "FULLY_CONNECTED"]
    (output,) = LaneRunner(paired_lanes(network, plan)).run_batch(Batch((x,)))
    quantizer = as_affine(plan.layers["4"].output, "4")  # type: ignore[arg-type]
    assert np.abs(run_file(file, x)[0] - quantizer.quantize(output.tensors[SIMULATED]).numpy()).max() <= 1


def test_what_is_not_written_is_listed_with_its_layers() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Mish(), nn.Softplus())
    x = torch.randn(2, 3, 8, 8)
    network, plan = planned(net, x, SCHEME)
    with pytest.raises(CaptureError, match=r"mish \(2\); softplus \(1, 3\)"):
        write_lite(network, plan, Batch((x,)))


@pytest.mark.parametrize(
    ("preset", "settings", "message"),
    [
        ("mxfp8", (), "rounds what it multiplies"),
        ("tf-uint8", ("weights.granularity=per_channel",), "a scale for each channel"),
        ("int8", ("activations.bits=12",), "8 bits or 16"),
    ],
)
def test_numbers_that_the_file_cannot_hold_are_refused(preset: str, settings: tuple[str, ...], message: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 32, 4, 4)
    network, plan = planned(nn.Sequential(nn.Conv2d(32, 4, 3)), x, change_scheme(load_preset(preset), settings))
    with pytest.raises(ConfigError, match=message):
        write_lite(network, plan, Batch((x,)))


def test_tensors_of_8_bits_and_of_16_meet_in_one_file() -> None:
    """The runtime takes it, and a wide layer is as fine as it is planned."""
    torch.manual_seed(0)
    net, x = (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 3, 1)),
        torch.randn(4, 3, 6, 6),
    )
    network, plan = planned(net, x, change_scheme(SCHEME, ['layers."2".activations.bits=16']))
    file = write_lite(network, plan, Batch((x,)))
    graph = parse(file.content, "net.tflite")
    types = {tensor.name: tensor.dtype for tensor in graph.tensors}
    assert [types[file.integers[name]] for name in ("0", "2", "3")] == [np.int8, np.int16, np.int8]
    (output,) = LaneRunner(paired_lanes(network, plan)).run_batch(Batch((x,)))
    quantizer = as_affine(plan.layers["3"].output, "3")  # type: ignore[arg-type]
    assert np.abs(run_file(file, x)[0] - quantizer.quantize(output.tensors[SIMULATED]).numpy()).max() <= 1
