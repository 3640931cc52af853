"""Narrow sums act in the simulated network, against arithmetic on integers written out."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from qdiag.config import load_scheme
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.saturating import saturating
from qdiag.simulate.arithmetic.table import arithmetic_of
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.passes.lanes import Lane
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.weights import simulated_weights
from tests.cases import SESSION, open_test_case, output_sqnr_db

UINT8 = TensorScheme(symmetric=False, signed=False)
INT8 = TensorScheme(narrow_range=True)
PAIRS = QuantScheme(weights=INT8, activations=UINT8, bias="float", pair_saturation=True)


def bright(*shape: int, seed: int = 1) -> Tensor:
    """Values near the top of their range, as pairs saturate."""
    return 1.0 - 0.3 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def network(kind: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layers = {
        "conv": (nn.Conv2d(3, 4, 3, stride=2, padding=1), bright(5, 3, 9, 9)),
        "linear": (nn.Linear(7, 4), bright(5, 7)),
        "tokens": (nn.Linear(8, 4), bright(5, 3, 8)),
        "depthwise": (nn.Conv2d(4, 4, 3, groups=4), bright(5, 4, 8, 8)),
        "channels_last": (nn.Linear(8, 4), bright(5, 3, 6, 8)),
        "transposed": (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), bright(5, 4, 4, 4)),
    }
    layer, x = layers[kind]
    with torch.no_grad():
        layer.weight.copy_(layer.weight.sign() * (0.5 + 0.5 * torch.rand_like(layer.weight)))
    return nn.Sequential(layer).eval(), x


def by_hand(case: Case, x: Tensor) -> Tensor:
    """The layer on integers: pairs of products, channels innermost, added in int16."""
    layer, plan = case.network.graph.layer("0"), case.plan.layers
    source, weight = plan["input:input"].output, plan["0"].weight
    assert source is not None
    assert weight is not None
    constants = case.network.program.constants
    a = source.quantize(x).long()
    w = weight.quantize(constants[layer.weight or ""]).long()
    bias = constants[layer.bias or ""]
    if w.ndim == 2:
        windows = a.reshape(-1, a.shape[-1])
    else:
        padded = torch.full((a.shape[0], a.shape[1], a.shape[2] + 2, a.shape[3] + 2), int(source.zero_point))
        padded[:, :, 1:-1, 1:-1] = a
        windows = padded.unfold(2, 3, 2).unfold(3, 3, 2).permute(0, 2, 3, 4, 5, 1).reshape(-1, 27)
        w = w.permute(0, 2, 3, 1).reshape(4, -1)
    sums = torch.zeros(len(windows), 4, dtype=torch.long)
    for k in range(0, w.shape[1], 2):
        pair = windows[:, None, k : k + 2] * w[None, :, k : k + 2]
        sums += pair.sum(2).clamp(-(2**15), 2**15 - 1)
    sums -= int(source.zero_point) * w.sum(1)
    real = sums * float(source.scale) * float(weight.scale) + bias
    if constants[layer.weight or ""].ndim == 4:
        return real.view(5, 5, 5, 4).permute(0, 3, 1, 2)
    return real.view(*x.shape[:-1], 4)


def both(case: Case, x: Tensor) -> tuple[Tensor, Tensor]:
    """Output of the layer on quantized values without and with the limits."""
    layer = case.network.graph.layer("0")
    node = next(n for n in case.network.program.graph.nodes if n.name == layer.nodes[0])
    weights = simulated_weights(case.network, case.plan, layer)
    source = case.plan.layers["input:input"].output
    assert source is not None
    assert weights.weight is not None
    rounded = (source.quantize(x) - source.zero_point) * source.scale
    free: Tensor = node.target(rounded, weights.weight, weights.bias, *node.args[3:])  # type: ignore[operator]
    op, args = LayerOp(node, layer, weights), (rounded, *node.args[1:])
    limits = saturating(case.plan, layer)
    run: Tensor = arithmetic_of(case.plan, layer).run(op, args, {})
    if limits is None:
        assert torch.equal(run, free)
        return free, free
    limited = limits.limited(op, args, free)
    assert torch.equal(run, limited)
    return free, limited


@pytest.mark.parametrize("kind", ["conv", "linear", "tokens", "channels_last"])
def test_pairs_saturate_as_int16_does(kind: str) -> None:
    model, x = network(kind)
    case = open_test_case(model, x, PAIRS)
    free, limited = both(case, x)
    torch.testing.assert_close(limited, by_hand(case, x), rtol=1e-4, atol=1e-4)
    assert float((free - limited).abs().max()) > 0.05


def test_depthwise_layers_are_taken_as_free_of_pairs() -> None:
    model, x = network("depthwise")
    case = open_test_case(model, x, PAIRS)
    assert arithmetic_of(case.plan, case.network.graph.layer("0")) is FAKE_QUANTIZED


def test_seven_bits_never_saturate() -> None:
    model, x = network("conv")
    case = open_test_case(model, x, replace(PAIRS, activations=replace(UINT8, bits=7)))
    free, limited = both(case, x)
    assert limited is free


@pytest.mark.parametrize("kind", ["conv", "linear", "tokens", "depthwise"])
def test_the_accumulator_clamps_the_sum(kind: str) -> None:
    model, x = network(kind)
    case = open_test_case(model, x, replace(PAIRS, pair_saturation=False, accumulator_bits=16, bias="int32"))
    source, weight = case.plan.layers["input:input"].output, case.plan.layers["0"].weight
    assert source is not None
    assert weight is not None
    free, limited = both(case, x)
    step = float(source.scale) * float(weight.scale)
    integers = (free.double() / step).round().clamp(-(2**15), 2**15 - 1)
    torch.testing.assert_close(limited.double(), integers * step, rtol=1e-5, atol=1e-5)
    assert not torch.equal(free, limited)


@pytest.mark.parametrize("kind", ["conv", "linear", "tokens", "depthwise", "channels_last", "transposed"])
def test_the_accumulator_has_the_scale_of_its_channel(kind: str) -> None:
    """With one scale per output channel, each channel is bounded at its own."""
    model, x = network(kind)
    per_channel = replace(INT8, granularity="per_channel")
    scheme = replace(PAIRS, weights=per_channel, pair_saturation=False, accumulator_bits=13)
    with torch.no_grad():
        axis = 1 if kind == "transposed" else 0
        rows = model[0].weight.movedim(axis, 0)
        rows *= torch.logspace(0, 2, len(rows)).view(-1, *[1] * (rows.ndim - 1))
    case = open_test_case(model, x, scheme)
    source, weight = case.plan.layers["input:input"].output, case.plan.layers["0"].weight
    assert isinstance(source, Affine) and isinstance(weight, Affine)
    free, limited = both(case, x)
    step = (source.scale * weight.scale).double()
    if kind == "transposed":
        step = step.repeat(2)
    shape = [1] * free.ndim
    shape[-1 if isinstance(model[0], nn.Linear) else 1] = -1
    low, high = (-(2.0**12) * step).view(shape), ((2.0**12 - 1) * step).view(shape)
    torch.testing.assert_close(limited.double(), free.double().maximum(low).minimum(high), rtol=1e-5, atol=1e-5)
    assert not torch.equal(free, limited)


def test_ordinary_schemes_have_no_limits() -> None:
    model, x = network("conv")
    for name in ("int8", "tf-uint8", "int16x8"):
        case = open_test_case(model, x, name)
        assert arithmetic_of(case.plan, case.network.graph.layer("0")) is FAKE_QUANTIZED


@pytest.mark.parametrize("setting", ["pair_saturation=true", "accumulator_bits=16"])
def test_both_runners_let_them_act(setting: str) -> None:
    """Through the whole network: the paired pass, and many variants in one pass."""
    model, x = network("conv")
    plain = load_scheme("int8", ["bias=float"])
    case = open_test_case(model, x, plain)
    narrow = with_scheme(SESSION, case, load_scheme("int8", ["bias=float", setting]))
    assert output_sqnr_db(narrow) < output_sqnr_db(case) - 3.0
    lanes = [Lane(one.network, one.plan) for one in (case, narrow, with_scheme(SESSION, narrow, plain))]
    runner = LaneRunner([Lane(case.network), *lanes])
    batch = next(iter(case.measured))
    (output,) = runner.run_batch(batch)
    reference, free, limited, widened = output.tensors
    assert torch.equal(free, widened)

    def sqnr_db(simulated: Tensor) -> float:
        power = reference.double().square().sum() / (reference - simulated).double().square().sum()
        return float(10 * power.log10())

    assert sqnr_db(free) == pytest.approx(output_sqnr_db(case), abs=0.01)
    assert sqnr_db(limited) == pytest.approx(output_sqnr_db(narrow), abs=0.01)
