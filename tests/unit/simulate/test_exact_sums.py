"""Sums of integers at every size, against int64: what fits float32, what does not, and what wraps or saturates."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.core.scheme import BiasType, QuantScheme, TensorScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import EXACT32
from qdiag.simulate.arithmetic.onnxruntime.products import WeightedSums
from qdiag.simulate.arithmetic.table import arithmetic_of
from qdiag.simulate.case import Case
from qdiag.simulate.passes.weights import simulated_weights
from tests.cases import open_test_case

SCHEME = QuantScheme(weights=TensorScheme(granularity="per_channel", narrow_range=True), arithmetic="ort")
Steps = np.ndarray[Any, np.dtype[np.int64]]


def linear(width: int, bias: float = 0.5) -> nn.Module:
    model = nn.Sequential(nn.Linear(width, 3))
    generator = torch.Generator().manual_seed(width)
    with torch.no_grad():
        model[0].weight.copy_(torch.randn(3, width, generator=generator).abs())
        model[0].bias.fill_(bias)
    return model.eval()


def opened(model: nn.Module, x: Tensor, scheme: QuantScheme = SCHEME) -> tuple[Case, WeightedSums, LayerOp]:
    case = open_test_case(model, x, scheme)
    layer = case.network.graph.layer("0")
    rule = arithmetic_of(case.plan, layer)
    assert isinstance(rule, WeightedSums)
    node = next(node for node in case.network.program.graph.nodes if node.name == layer.nodes[0])
    return case, rule, LayerOp(node, layer, simulated_weights(case.network, case.plan, layer))


def by_hand(case: Case, model: nn.Module, x: Tensor) -> Steps:
    """The sums in int64, bias included."""
    source, weight = case.plan.layers["input:input"].output, case.plan.layers["0"].weight
    assert isinstance(source, Affine) and isinstance(weight, Affine)
    integers = source.quantize(x).numpy().astype(np.int64) - int(source.zero_point)
    weights = weight.quantize(model[0].weight.detach()).numpy().astype(np.int64)  # type: ignore[index]
    scale = float(source.scale) * weight.scale.double().numpy()
    bias = np.rint(model[0].bias.detach().double().numpy() / scale).clip(-(2**31), 2**31 - 1)  # type: ignore[index]
    made: Steps = integers @ weights.T + bias.astype(np.int64)
    return made


def re_quantized(case: Case, sums: Steps) -> Steps:
    plan = case.plan.layers
    source, weight, output = plan["input:input"].output, plan["0"].weight, plan["0"].output
    assert isinstance(source, Affine) and isinstance(weight, Affine) and isinstance(output, Affine)
    multiplier = source.scale.numpy() * weight.scale.numpy() / output.scale.numpy()
    steps = np.rint(sums.astype(np.float32) * multiplier) + int(output.zero_point)
    made: Steps = steps.clip(output.quant_min, output.quant_max).astype(np.int64)
    return made


def simulated(case: Case, rule: WeightedSums, op: LayerOp, x: Tensor) -> Steps:
    source, output = case.plan.layers["input:input"].output, case.plan.layers["0"].output
    assert isinstance(source, Affine) and isinstance(output, Affine)
    args = (source.fake_quantize(x), *op.node.args[1:])
    made: Steps = output.quantize(rule.run(op, args, {})).numpy().astype(np.int64)
    return made


@pytest.mark.parametrize(("width", "fits"), [(40, "whole"), (4000, "in halves"), (20000, "nothing")])
def test_sums_of_every_size_are_exact(width: int, fits: str) -> None:
    """In float32; of weights in two halves; in float64."""
    model, x = linear(width), torch.rand(8, width, generator=torch.Generator().manual_seed(0))
    case, rule, op = opened(model, x)
    sums = by_hand(case, model, x)
    integers = op.weights.integers if op.weights is not None else None
    assert integers is not None
    bounds = [EXACT32 / (255.0 * most) for most in (integers.largest_sum, integers.largest_sum_of_halves)]
    assert [bound > 1.0 for bound in bounds] == {"whole": [True, True], "in halves": [False, True]}.get(
        fits, [False] * 2
    )
    found = rule.sums(op, (case.plan.layers["input:input"].output.fake_quantize(x), *op.node.args[1:]), {})  # type: ignore[union-attr]
    scale = float(rule.source.scale) * rule.weight.scale.double().numpy()
    np.testing.assert_array_equal(np.rint(found.unlimited.numpy() / scale), sums)
    np.testing.assert_array_equal(simulated(case, rule, op, x), re_quantized(case, sums))


def test_a_bias_that_saturates_wraps_with_the_products() -> None:
    model = linear(12, bias=-4.0)
    with torch.no_grad():
        model[0].weight[1] *= 1e-8  # type: ignore[index]
        model[0].weight[1, ::2] *= -1.0  # type: ignore[index]
    x = torch.randn(32, 12, generator=torch.Generator().manual_seed(0))
    case, rule, op = opened(model, x)
    sums = by_hand(case, model, x)
    assert (sums < -(2**31)).any(0).tolist() == [False, True, False]
    wrapped = (sums + 2**31) % 2**32 - 2**31
    np.testing.assert_array_equal(simulated(case, rule, op, x), re_quantized(case, wrapped))
    assert rule.can_wrap(op)
    assert not rule.can_wrap(opened(linear(12), x)[2])


def test_a_narrow_accumulator_saturates() -> None:
    model, x = linear(40), torch.rand(8, 40, generator=torch.Generator().manual_seed(0))
    case, rule, op = opened(model, x, replace(SCHEME, accumulator_bits=16))
    sums = by_hand(case, model, x)
    assert sums.max() > 2**15
    np.testing.assert_array_equal(simulated(case, rule, op, x), re_quantized(case, sums.clip(-(2**15), 2**15 - 1)))


def test_pairs_of_products_saturate() -> None:
    model, x = linear(6), torch.rand(8, 6, generator=torch.Generator().manual_seed(0)) + 1.0
    case, rule, op = opened(model, x, replace(SCHEME, pair_saturation=True))
    source, weight = case.plan.layers["input:input"].output, case.plan.layers["0"].weight
    assert isinstance(source, Affine) and isinstance(weight, Affine)
    products = source.quantize(x).numpy()[:, None] * weight.quantize(model[0].weight.detach()).numpy()[None]  # type: ignore[index]
    pairs = products.reshape(8, 3, 3, 2).sum(-1)
    assert (pairs > 2**15 - 1).any()
    lost = (pairs - pairs.clip(-(2**15), 2**15 - 1)).sum(-1)
    np.testing.assert_array_equal(
        simulated(case, rule, op, x), re_quantized(case, by_hand(case, model, x) - lost.astype(np.int64))
    )


def test_what_may_differ_is_a_note() -> None:
    """With its share of all values, and why."""
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(4, 2, 2)).eval()
    x = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    (note,) = [note for note in qdiag.measure(model, x, scheme=SCHEME).notes if "onnxruntime" in note]
    share = 100.0 * (2 * 7 * 7) / (2 * 8 * 8 + 4 * 6 * 6 + 2 * 7 * 7)
    assert note == (
        f"onnxruntime may come to other integers in 1 ({share:.2g} % of all values): conv_transpose2d computes in float"
    )
    wide = replace(SCHEME, activations=TensorScheme(bits=16, symmetric=True))
    (note,) = [note for note in qdiag.measure(model, x, scheme=wide).notes if "onnxruntime" in note]
    assert note.endswith("no integer kernel takes more than 8 bits")
    assert not any(
        "onnxruntime" in n for n in qdiag.measure(model, x, scheme=replace(SCHEME, arithmetic="float")).notes
    )


@pytest.mark.parametrize("kind", ["float", "int64"])
def test_a_bias_in_float_becomes_int32_as_onnxruntime_makes_it(kind: BiasType) -> None:
    """Divided in float32; out of range it is the lowest integer, whatever its sign."""
    model = linear(12, bias=4.0)
    with torch.no_grad():
        model[0].weight[1] *= 1e-9  # type: ignore[index]
    x = torch.randn(16, 12, generator=torch.Generator().manual_seed(0))
    _, rule, op = opened(model, x, replace(SCHEME, bias=kind))
    made = op.weights.integers.bias if op.weights is not None and op.weights.integers is not None else None
    assert made is not None
    scale32 = rule.source.scale.numpy() * rule.weight.scale.numpy()
    steps = np.rint(np.float32(4.0) / scale32)
    assert steps[1] > 2**31
    assert made.tolist() == [steps[0], -(2.0**31), steps[2]]
