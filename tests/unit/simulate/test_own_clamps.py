"""Convolutions that clamp their own sums give what convolving and then clamping gives; nobody misses what is gone."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import qdiag
from qdiag.batches import Batch
from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.base import Clamp
from qdiag.simulate.arithmetic import clamped_convolution as operation
from qdiag.simulate.arithmetic import fake_quantized
from qdiag.simulate.arithmetic.clamped_convolution import clamped_convolution
from qdiag.simulate.case import Case
from qdiag.simulate.passes.clamping import own_clamps
from qdiag.simulate.passes.clamping.magnitudes import UNKNOWN, Closing, Products, largest, largest_values
from qdiag.simulate.passes.clamping.own_clamps import shared_clamps
from qdiag.simulate.passes.lanes import Lane, Lanes
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from tests.cases import open_test_case

RELU6, RELU = (0.0, 6.0), (0.0, math.inf)


class Net(nn.Module):
    """Convolutions with and without a clamp, grouped ones, borders of each kind, a sum, pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.narrow, self.fc = nn.Conv2d(8, 8, 1, bias=False), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.stem(F.pad(x, (0, 1, 0, 1), value=-7.5)))
        x = x + self.narrow(F.relu(self.depthwise(F.pad(x, (0, 1, 0, 1))))[..., 1:, 1:])
        x = F.pad(x, (1, 1, 0, 0), mode="reflect")
        y: Tensor = self.fc(F.relu(self.narrow(x)).mean((2, 3)))
        return y


@pytest.fixture(scope="module")
def case() -> Case:
    torch.manual_seed(0)
    return open_test_case(Net().eval(), list(images().split(2)), "tf-uint8")


def images(seed: int = 1) -> Tensor:
    return 3 * torch.randn(4, 3, 20, 20, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Clamp]:
    """The clamps that operations do themselves while a test runs."""
    found: list[Clamp] = []

    def counted(args: tuple[Any, ...], clamp: Clamp) -> Tensor:
        found.append(clamp)
        return clamped_convolution(args, clamp)

    monkeypatch.setattr(fake_quantized, "clamped_convolution", counted)
    return found


@pytest.mark.parametrize("clamp", [RELU6, RELU, (-0.5, 1.25)])
@pytest.mark.parametrize(("channels", "groups", "kernel", "how"), [(8, 1, 3, (2, 1)), (8, 8, 3, (1, 1)), (6, 1, 1, ())])
@pytest.mark.parametrize("is_channels_last", [True, False])
def test_the_values_are_those_of_convolving_and_clamping(
    clamp: Clamp, channels: int, groups: int, kernel: int, how: tuple[int, ...], is_channels_last: bool
) -> None:
    layout = torch.channels_last if is_channels_last else torch.contiguous_format
    x = torch.randn(4, channels, 17, 15).contiguous(memory_format=layout)
    weight = torch.randn(16, channels // groups, kernel, kernel).contiguous(memory_format=layout)
    more = (torch.randn(16), *([n, n] for n in how), *([[1, 1], groups] if how else ()))
    found = clamped_convolution((x, weight, *more), clamp)
    wanted = F.conv2d(x, weight, *more).clamp(*clamp)
    assert torch.equal(found, wanted) and found.stride() == wanted.stride()
    assert float(found.min()) == clamp[0], "something was clamped"


@pytest.mark.parametrize("odd", ["float64", "gradient", "one image", "no operation"])
def test_what_onednn_does_not_compute_is_clamped_afterwards(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(2, 4, 6, 6), torch.randn(5, 4, 3, 3)
    if odd == "float64":
        x, weight = x.double(), weight.double()
    if odd == "one image":
        x = x[0]
    if odd == "no operation":
        monkeypatch.setattr(operation, "_has_operation", lambda: False)
    weight.requires_grad_(odd == "gradient")
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", None)
    found = clamped_convolution((x, weight), RELU6)
    assert torch.equal(found, F.conv2d(x, weight).clamp(0, 6)) and found.requires_grad == (odd == "gradient")


def test_a_pass_gives_the_same_with_and_without(case: Case, done: list[Clamp], monkeypatch: pytest.MonkeyPatch) -> None:
    net, batches = Net().eval(), list(images().split(2))
    with_clamps = qdiag.measure(net, batches, scheme="tf-uint8")
    assert {RELU6, RELU} <= set(done) and len(set(done)) > 2, "clamps of the network and ends of its quantizers"
    done.clear()
    monkeypatch.setattr(own_clamps, "can_clamp", lambda clamp: False)
    without = qdiag.measure(net, batches, scheme="tf-uint8")
    assert not done and with_clamps.records == without.records and with_clamps.outputs == without.outputs


@pytest.mark.parametrize(("value", "is_left"), [(math.nan, False), (math.inf, False), (1e9, False), (1.0, True)])
def test_inputs_that_may_end_in_nan_are_clamped_afterwards(
    case: Case, done: list[Clamp], value: float, is_left: bool
) -> None:
    x = images()
    x[1, 0, 3, 3] = value
    (found,) = LaneRunner([Lane(case.network)]).run_batch(Batch((x,)))
    assert bool(done) == is_left
    assert bool(found.reference.isnan().any()) == math.isnan(value), "NaN is seen, not made a bound"


class _Lowest(LayerObserver):
    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def opened(self, layer: Layer, lanes: Lanes) -> None:
        self.found[layer.name] = min(float(x.min()) for x in lanes.tensors)


def test_who_reads_values_before_the_clamp_gets_them(case: Case, done: list[Clamp]) -> None:
    seen = _Lowest()
    LaneRunner(paired_lanes(case.network, case.plan), [seen]).run_batch(Batch((images(),)))
    assert not done and seen.found["stem"] < 0 and seen.found["depthwise"] < 0


def test_lanes_that_share_a_result_and_clamp_apart_clamp_afterwards() -> None:
    assert shared_clamps(["a", "a", "b", "c"], [RELU6, RELU, RELU, None]) == {"b": RELU}
    assert shared_clamps(["a", "a"], [RELU6, RELU6]) == {"a": RELU6} and shared_clamps(["a"], None) == {}


def test_no_value_is_larger_than_its_bound(case: Case) -> None:
    graph, constants = case.network.program.graph, case.network.program.constants
    products = {}
    for layer in case.network.graph.layers:
        if layer.weight is not None:
            rows = constants[layer.weight].abs().flatten(1).sum(1)
            products[layer.nodes[0]] = Products(
                float(rows.max()), largest(constants[layer.bias] if layer.bias else None)
            )
    x = images()
    bounds = largest_values(graph, largest(x), constants, products, {})
    values = _values(case, x)
    assert len(products) == 5 and all(bounds[node] < UNKNOWN for node in products)
    assert all(largest(value) <= bounds[node] for node, value in values.items())
    assert max(bounds[node] for node in values) < 1e4 * max(map(largest, values.values()))


def _values(case: Case, x: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    class Recorder(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor) and n.op == "call_function":
                found[n.name] = value
            return value

    program = case.network.program
    inputs = program.flatten_inputs((x,), {})
    ordered = [
        inputs.get(str(n.target), program.constants.get(str(n.target)))
        for n in program.graph.nodes
        if n.op == "placeholder"
    ]
    with torch.no_grad():
        Recorder(nn.Module(), graph=program.graph).run(*ordered, enable_io_processing=False)
    return found


@pytest.mark.parametrize(
    ("operator", "is_known"), [(torch.ops.aten.relu.default, True), (torch.ops.aten.exp.default, False)]
)
def test_behind_what_is_not_known_nothing_is(operator: Any, is_known: bool) -> None:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    first = graph.call_function(operator, (x,))
    last = graph.call_function(torch.ops.aten.conv2d.default, (first, x))
    graph.output(last)
    products: Sequence[tuple[str, Products]] = [(last.name, Products(10.0, 1.0))]
    bounds = largest_values(graph, 2.0, (), dict(products), {first.name: Closing(quantized=0.0, clamped=1.5)})
    assert bounds[last.name] == (16.0 if is_known else UNKNOWN)


@pytest.mark.parametrize(("value", "bound"), [(0.0, 20.0), (-3.0, 30.0), (math.nan, UNKNOWN), (math.inf, UNKNOWN)])
def test_a_border_is_as_large_as_its_value(value: float, bound: float) -> None:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    node = graph.call_function(torch.ops.aten.pad.default, (x, [0, 1, 0, 1], "constant", value))
    last = graph.call_function(torch.ops.aten.conv2d.default, (node, x))
    assert largest_values(graph, 2.0, (), {last.name: Products(10.0, 0.0)}, {})[last.name] == bound


def test_sums_that_may_overflow_are_not_known() -> None:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    node = graph.call_function(torch.ops.aten.conv2d.default, (x, x))
    assert largest_values(graph, 1e5, (), {node.name: Products(1e20, 0.0)}, {})[node.name] < UNKNOWN
    assert largest_values(graph, 1e5, (), {node.name: Products(1e26, 0.0)}, {})[node.name] == UNKNOWN
