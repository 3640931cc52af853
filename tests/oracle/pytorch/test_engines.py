"""`arithmetic = "fbgemm"` and `"qnnpack"` against torch's own quantized kernels: no integer of a network differs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.core.graph import Layer
from qdiag.core.scheme import QuantScheme, RuntimeName, TensorScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.table import arithmetic_of, difference_to_runtime
from qdiag.simulate.case import Case
from qdiag.simulate.facts.pairs import PairObserver
from qdiag.simulate.passes.lanes import LOCAL, SIMULATED, Lane
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from tests.cases import open_test_case
from tests.models import KINDS
from tests.oracle.pytorch.engines import engine_of, integers_of_torch, unsigned
from tests.processor import as_here

ENGINES: tuple[RuntimeName, ...] = ("fbgemm", "qnnpack")
INT8 = load_preset("int8")
SIGNED = replace(INT8, activations=replace(INT8.activations, signed=True))
PER_TENSOR = replace(INT8, weights=replace(INT8.weights, granularity="per_tensor"))
AFFINE = replace(INT8, weights=replace(PER_TENSOR.weights, symmetric=False))


class Images(nn.Module):
    """Operations on images of 18 channels and an odd number of pixels, so that no register is filled at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 18, 3, padding=1)
        self.grouped = nn.Conv2d(18, 18, 3, padding=1, groups=3)
        self.narrow = nn.Conv2d(18, 16, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.gate = nn.Conv2d(18, 18, 1)
        self.head = nn.Linear(34, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        y = F.leaky_relu(self.grouped(x), 0.1)
        x = F.relu(x + y)
        x = x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        z = self.depthwise(F.hardswish(self.narrow(x)))
        joined = torch.cat([x, torch.tanh(z)], 1)
        pooled = F.avg_pool2d(joined, 2) + F.max_pool2d(joined, 2)
        pooled = F.interpolate(pooled, size=(7, 5), mode="bilinear") * F.hardsigmoid(
            F.interpolate(joined, size=(7, 5), mode="bilinear", align_corners=True)
        )
        pooled = F.adaptive_avg_pool2d(F.avg_pool2d(pooled, 3, 2, 1, count_include_pad=True), (3, 2))
        out: Tensor = F.elu(self.head(pooled.mean((2, 3))), 0.7)
        return out


class Tokens(nn.Module):
    """Operations on tokens, some of which torch computes in float."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.norm, self.outside = nn.Linear(12, 20), nn.LayerNorm(20), nn.Linear(20, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(F.gelu(self.inside(x)))
        scores = torch.softmax(x @ x.transpose(1, 2), -1)
        x = torch.cat([scores @ x, x], 1)
        found: Tensor = self.outside(F.silu(x.mean(1))) - self.outside(x).mean(1) * 0.5
        return found


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def seeded(kind: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


class _Integers(LayerObserver):
    """Of the free-running lane; of the local one the values of each layer as they are measured, flat."""

    def __init__(self, case: Case) -> None:
        self._case, self.found, self.local = case, dict[str, Tensor](), dict[str, Tensor]()

    def _quantized(self, layer: Layer, x: Tensor) -> Tensor:
        quantizer: Any = self._case.plan.layers[layer.name].output
        found: Tensor = quantizer.quantize(x) - quantizer.quant_min
        return found

    def chunk(self, layer: Layer, lanes: Sequence[Tensor]) -> None:
        if self._case.plan.layers[layer.name].output is not None:
            self.local[layer.name] = self._quantized(layer, lanes[LOCAL])

    def closed(self, layer: Layer, lanes: Any) -> None:
        if self._case.plan.layers[layer.name].output is not None:
            self.found[layer.name] = self._quantized(layer, lanes.tensors[SIMULATED])


def opened(model: nn.Module, batch: Batch, scheme: QuantScheme, engine: RuntimeName) -> Case:
    return open_test_case(model, [batch], replace(scheme, arithmetic=engine))


def simulated(case: Case, batch: Batch) -> _Integers:
    observer = _Integers(case)
    LaneRunner(paired_lanes(case.network, case.plan), [observer]).run_batch(batch)
    return observer


def compare(case: Case, batch: Batch, engine: RuntimeName) -> int:
    """Every integer of the free-running network; how many there are."""
    ours, theirs = simulated(case, batch).found, integers_of_torch(case, batch, engine)
    assert set(ours) <= set(theirs), "torch has the constants as well"
    for layer, integers in ours.items():
        differing = int((theirs[layer].int() != integers.reshape(theirs[layer].shape)).sum())
        assert not differing, f"{layer}: {differing} of {integers.numel()}"
    return sum(integers.numel() for integers in ours.values())


CASES: dict[str, tuple[Callable[[], nn.Module], Batch, QuantScheme]] = {
    "images": (lambda: seeded(Images), Batch((drawn(2, 3, 11, 9),)), INT8),
    "images s8": (lambda: seeded(Images), Batch((drawn(2, 3, 11, 9),)), SIGNED),
    "images uint8": (lambda: seeded(Images), Batch((drawn(2, 3, 11, 9),)), load_preset("tf-uint8")),
    "images affine": (lambda: seeded(Images), Batch((drawn(2, 3, 11, 9),)), AFFINE),
    "tokens": (lambda: seeded(Tokens), Batch((drawn(3, 9, 12),)), INT8),
    "unet_transposed": (KINDS["unet_transposed"].build, Batch(*KINDS["unet_transposed"].inputs(2, 0)), PER_TENSOR),
    "depthwise_separable": (
        *(KINDS["depthwise_separable"].build, Batch(*KINDS["depthwise_separable"].inputs(2, 0)), INT8),
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_no_integer_of_a_network_differs(name: str, engine: RuntimeName) -> None:
    build, batch, scheme = CASES[name]
    case = opened(build(), batch, as_here(scheme), engine)
    assert compare(case, batch, engine) > 1000


def test_inputs_are_quantized_as_torch_does() -> None:
    """Halves, at an odd zero point and an even one."""
    for zero_point, lowest in ((101, 0), (100, 0), (-27, -128)):
        own = Affine(torch.tensor(0.0371), torch.tensor(float(zero_point)), lowest, lowest + 255, by_reciprocal=True)
        x = (torch.arange(-300, 300) + 0.5) * own.scale
        with engine_of("fbgemm"):
            expected = torch.quantize_per_tensor(x, *unsigned(own), torch.quint8).int_repr()
        assert torch.equal(own.quantize(x) - lowest, expected.int())
        rounded = own.fake_quantize(x)
        assert torch.equal(own.quantize(rounded), own.quantize(x))
        assert not torch.equal(replace(own, by_reciprocal=False).quantize(x) - lowest, expected.int())


class Notes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 4, 2, stride=2)
        self.lstm = nn.LSTM(8, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = (self.up(x) + 0.5).flatten(2)
        return self.lstm(y)[0]  # type: ignore[no-any-return]


def test_what_is_not_matched_is_said() -> None:
    batch = Batch((drawn(2, 2, 1, 2),))
    expected = {
        "fbgemm": {"add": "a number is added", "up": "torch refuses a transposed", "lstm": "it computes in float"},
        "qnnpack": {"add": "a number is added", "lstm": "it computes in float"},
    }
    for engine in ENGINES:
        case = opened(seeded(Notes), batch, INT8, engine)
        found = {one.name: difference_to_runtime(case.plan, one) for one in case.network.graph.layers}
        said = {name: reason for name, reason in found.items() if reason is not None}
        assert set(said) == set(expected[engine])
        for name, words in expected[engine].items():
            assert words in said[name]


@pytest.mark.parametrize("engine", ENGINES)
def test_settings_of_the_scheme_act(engine: RuntimeName) -> None:
    """A narrow accumulator saturates, a group of weights has no kernel, and int16 is computed in float."""
    model, batch = seeded(lambda: nn.Sequential(nn.Linear(12, 6))), Batch((drawn(5, 12),))
    case = opened(model, batch, replace(INT8, accumulator_bits=13), engine)
    rule = arithmetic_of(case.plan, case.network.graph.layer("0"))
    plan = case.plan.layers
    source, weight, output = plan["input:input"].output, plan["0"].weight, plan["0"].output
    assert isinstance(source, Affine) and isinstance(weight, Affine) and isinstance(output, Affine)
    x = source.quantize(batch.args[0]).double() - source.zero_point
    total = x @ weight.quantize(model[0].weight.detach()).double().T
    scale = source.scale * weight.scale
    bias = model[0].bias.detach()
    if engine == "qnnpack":
        limited = (total + torch.round(bias / scale)).clamp(-(2.0**12), 2.0**12 - 1)
        expected = torch.round(limited.float() * (scale * (1.0 / output.scale)))
    else:
        expected = torch.round(
            (total.clamp(-(2.0**12), 2.0**12 - 1).float() + bias * (1.0 / scale)) * (scale / output.scale)
        )
    expected = (expected + output.zero_point).clamp(0, 255)
    found = simulated(case, batch)
    assert torch.equal(found.found["0"].float(), expected)
    assert torch.equal(found.local["0"].float(), expected.flatten()), "it is the first layer"
    assert bool((total.abs() > 2.0**12).any()), "the accumulator has to be too narrow"
    assert rule.key != arithmetic_of(opened(model, batch, INT8, engine).plan, case.network.graph.layer("0")).key
    groups = replace(INT8, weights=replace(INT8.weights, granularity="per_group", group_size=4))
    wide = replace(INT8, activations=replace(SIGNED.activations, bits=16))
    for scheme, words in ((groups, "not in integers with one scale"), (wide, "more than 8 bits")):
        other = opened(model, batch, scheme, engine)
        reason = difference_to_runtime(other.plan, other.network.graph.layer("0"))
        assert reason is not None and words in reason
        assert LaneRunner([Lane(other.network, other.plan)]).run_batch(batch)[0].tensors[0].isfinite().all()


def test_depthwise_layers_that_may_saturate_are_named() -> None:
    """fbgemm adds pairs of their products in int16 on every processor; with 7 bits of either they fit."""
    batch, narrow = Batch((drawn(2, 3, 11, 9),)), replace(INT8, activations=replace(INT8.activations, bits=7))
    weights = replace(INT8, weights=TensorScheme(bits=7, symmetric=False, signed=False))
    found = []
    for scheme, engine in ((INT8, "fbgemm"), (narrow, "fbgemm"), (weights, "fbgemm"), (INT8, "qnnpack")):
        case = opened(seeded(Images), batch, scheme, engine)  # type: ignore[arg-type]
        seen = PairObserver(case.network, case.plan)
        LaneRunner(paired_lanes(case.network, case.plan), [seen]).run_batch(batch)
        found.append(dict(seen.records()))
    assert [set(one) for one in found] == [{"depthwise"}, set(), set(), set()]
    (record,) = found[0].values()
    assert 0 < record.saturated_count < record.sum_count
