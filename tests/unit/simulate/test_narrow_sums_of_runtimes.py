"""A narrow accumulator under the rules of each runtime, against integers that numpy adds up: none here has one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.core.graph import Layer
from qdiag.core.scheme import RuntimeName
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import clamped
from qdiag.simulate.case import Case
from qdiag.simulate.passes.lanes import LOCAL, REFERENCE, SIMULATED, Lanes
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from tests.cases import open_test_case

Integers = npt.NDArray[np.int64]
BITS = 13
LIMITS = -(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1
f32 = np.float32


class Seen(LayerObserver):
    """What a layer gives in each lane, behind its clamp."""

    def __init__(self) -> None:
        self.lanes: dict[str, list[torch.Tensor]] = {}

    def opened(self, layer: Layer, lanes: Lanes) -> None:
        self.lanes[layer.name] = [clamped(one, layer).clone() for one in lanes.tensors]


def by_float_product(total: Integers, scales: Any, output: float) -> Integers:
    """onnxruntime and XNNPACK."""
    return np.rint(total.astype(f32) * (scales / f32(output))).astype(np.int64)


def by_reciprocal(total: Integers, scales: Any, output: float) -> Integers:
    """qnnpack."""
    return np.rint(total.astype(f32) * (scales * (f32(1.0) / f32(output)))).astype(np.int64)


def in_fixed_point(nudge: Callable[[int], int], shifted: Callable[[int, int], int]) -> Any:
    """LiteRT: a mantissa of 31 bits, and a shift."""

    def run(total: Integers, scales: Any, output: float) -> Integers:
        found = np.empty_like(total)
        for place, acc in np.ndenumerate(total):
            mantissa, exponent = np.frexp(float(scales[place[1], 0, 0]) / output)
            high = nudge(int(acc) * int(np.rint(mantissa * 2.0**31)))
            found[place] = shifted(high, -int(exponent))
        return found

    return run


def high_of_reference(product: int) -> int:
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    return nudged // 2**31 if nudged >= 0 else -(-nudged // 2**31)


def away(value: int, shift: int) -> int:
    size = (abs(value) + (1 << shift >> 1)) >> shift
    return size if value >= 0 else -size


def up(value: int, shift: int) -> int:
    return (value + (1 << shift >> 1)) >> shift


RULES: dict[RuntimeName, Any] = {
    "ort": by_float_product,
    "xnnpack": by_float_product,
    "qnnpack": by_reciprocal,
    "tflite-ref": in_fixed_point(high_of_reference, away),
    "tflite": in_fixed_point(lambda product: (product + 2**30) >> 31, up),
}


def expected(case: Case, layer: str, read: Integers, arithmetic: RuntimeName) -> Integers:
    """The stored integers of a convolution of 3 x 3, from those that it reads."""
    plan, network = case.plan.layers, case.network
    (source,) = (plan[name].output for _, names in network.graph.layer(layer).reads for name in names)
    weight, output = plan[layer].weight, plan[layer].output
    assert isinstance(source, Affine) and isinstance(weight, Affine) and isinstance(output, Affine)
    own = network.graph.layer(layer)
    constants = network.program.constants
    kernel = weight.quantize(constants[own.weight or ""]).numpy().astype(np.int64)
    bias = constants[own.bias or ""].numpy()[:, None, None]
    x = np.pad(read - int(source.zero_point), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    total = np.einsum("nchwij,ocij->nohw", windows, kernel)
    sx, sw, sy = source.scale.numpy(), weight.scale.numpy()[:, None, None], float(output.scale)
    if arithmetic == "fbgemm":
        assert (np.abs(total) > LIMITS[1]).any()
        values = total.clip(*LIMITS).astype(f32) + bias / (sx * sw)
        steps = np.rint(values * (sx * sw / f32(sy))).astype(np.int64)
    else:
        exact = np.rint(bias.astype(np.float64) / (np.float64(sx) * sw.astype(np.float64)))
        made = np.rint(bias * (f32(1.0) / (sx * sw))) if arithmetic == "qnnpack" else exact
        total = total + made.astype(np.int64)
        assert (np.abs(total) > LIMITS[1]).any() and (np.abs(total) < LIMITS[1]).any()
        scales = np.float64(sx) * sw.astype(np.float64) if arithmetic in ("tflite", "tflite-ref") else sx * sw
        steps = RULES[arithmetic](total.clip(*LIMITS), scales, sy)
    lowest = int(output.zero_point) if own.clamp is not None else output.quant_min
    return (steps + int(output.zero_point)).clip(max(lowest, output.quant_min), output.quant_max)


@pytest.mark.parametrize("arithmetic", [*RULES, "fbgemm"])
def test_sums_saturate_layer_by_layer_and_one_behind_the_other(arithmetic: RuntimeName) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(5, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, padding=1)).eval()
    x = torch.rand(3, 5, 7, 7, generator=torch.Generator().manual_seed(1))
    case = open_test_case(
        model, [Batch((x,))], replace(load_preset("int8"), arithmetic=arithmetic, accumulator_bits=BITS)
    )
    seen = Seen()
    LaneRunner(paired_lanes(case.network, case.plan), [seen]).run_batch(Batch((x,)))

    def stored(layer: str, lane: int) -> Integers:
        quantizer = case.plan.layers[layer].output
        assert isinstance(quantizer, Affine)
        return quantizer.quantize(seen.lanes[layer][lane]).numpy().astype(np.int64)

    entered = stored("input:input", REFERENCE)
    np.testing.assert_array_equal(stored("0", LOCAL), expected(case, "0", entered, arithmetic))
    np.testing.assert_array_equal(stored("0", SIMULATED), stored("0", LOCAL))
    np.testing.assert_array_equal(stored("2", LOCAL), expected(case, "2", stored("0", REFERENCE), arithmetic))
    np.testing.assert_array_equal(stored("2", SIMULATED), expected(case, "2", stored("0", SIMULATED), arithmetic))
    assert (stored("0", REFERENCE) != stored("0", SIMULATED)).mean() > 0.05, "the accumulator has to be too narrow"
