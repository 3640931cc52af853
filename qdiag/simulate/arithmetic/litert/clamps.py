"""RELU, RELU6 and the like as operators of their own: at the end of their layer, where clamps happen."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Clamp
from qdiag.numerics.quantizers.in_turn import InTurn
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, twice_rounded
from qdiag.simulate.arithmetic.litert.requantized import levels, looked_up
from qdiag.simulate.arithmetic.litert.rule import (
    Kernels,
    away,
    finer,
    is_int16,
    is_known,
    limited,
    number,
    requantized,
)
from qdiag.simulate.arithmetic.operands import operands_under

_OPERATORS = ((0.0, math.inf), (0.0, 6.0), (-1.0, 1.0), (0.0, 1.0))
"""Bounds for which there is one; others are a MAXIMUM and a MINIMUM."""


@dataclass(frozen=True, eq=False)
class ClampedAnew(Affine):
    """Integers of one quantizer, clamped, as those of another.

    An operator: `M(f32(s_x / s_y))`, twice rounded, and bounds `round(bound / s_y)`, halves away from 0. MAXIMUM and
    MINIMUM with a number that is quantized as the values are, and QUANTIZE.

    Attributes:
        source: quantizer of what is clamped. bounds: of the clamp. kernels: whose.
    """

    source: Affine | None = None
    bounds: tuple[float, float] = (-math.inf, math.inf)
    kernels: Kernels = "xnnpack"

    @cached_property
    def key(self) -> Hashable:
        assert self.source is not None
        return (self.kernels, "clamped anew", self.source.key, self.bounds, super().key)

    def covers(self, clamp: Clamp) -> bool:
        """It clamps by itself."""
        del clamp
        return True

    @cached_property
    def plain(self) -> Affine:
        """The quantizer of what comes out."""
        return Affine(self.scale, self.zero_point, self.quant_min, self.quant_max, is_symmetric=self.is_symmetric)

    @cached_property
    def _values(self) -> Tensor:
        """By integer of the source, ascending."""
        assert self.source is not None
        target = finer(self.plain) if is_int16(self.source) and not is_int16(self.plain) else self.plain
        steps = levels(self.source)
        if self.bounds in _OPERATORS:
            by = Multiplier.of((number(self.source.scale) / number(target.scale)).double())
            low, high = (away(torch.tensor(bound) / number(target.scale)) for bound in self.bounds)
            steps = twice_rounded(steps, by).double().clamp(float(low), float(high)).to(torch.int64)
            steps = limited(steps, target)
            if target is not self.plain:
                steps = requantized(steps, target, self.plain, self.kernels)
        else:
            ends = [self._at_source(bound) for bound in self.bounds]
            steps = requantized(steps.clamp(*ends), self.source, self.plain, self.kernels)
        return steps.float() * float(self.scale)

    def _at_source(self, bound: float) -> int:
        assert self.source is not None
        zero = int(self.source.zero_point)
        if math.isinf(bound):
            return int(levels(self.source)[0 if bound < 0 else -1])
        return int(self.source.quantize(torch.tensor([bound]))) - zero

    def quantize(self, x: Tensor) -> Tensor:
        """The integers of what comes out; shape of x."""
        return self.plain.quantize(self.fake_quantize(x))

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        assert self.source is not None
        self.source.fake_quantize_chunk(source, target)
        target.copy_(looked_up(target, self.source, self._values))

    def to(self, device: torch.device) -> "ClampedAnew":
        moved = super().to(device)
        numbers = (moved.scale, moved.zero_point, moved.quant_min, moved.quant_max)
        assert self.source is not None
        return ClampedAnew(
            *numbers,
            is_symmetric=self.is_symmetric,
            source=self.source.to(device),
            bounds=self.bounds,
            kernels=self.kernels,
        )


def clamped_anew(kernels: Kernels, plan: QuantPlan, layer: Layer) -> ClampedAnew | None:
    """How the operator of a clamp rounds; None where what it reads or gives has no integers of kernels."""
    output = plan.layers[layer.name].output
    sources = list(operands_under(plan, layer).by_node.values())
    if layer.kind != "clamp" or layer.clamp is None or len(sources) != 1 or isinstance(output, InTurn):
        return None
    if plan.layers[layer.name].skip_reason is not None:
        return None
    source = sources[0]
    if not isinstance(output, Affine) or not isinstance(source, Affine) or not is_known(output) or not is_known(source):
        return None
    numbers = (output.scale, output.zero_point, output.quant_min, output.quant_max)
    return ClampedAnew(*numbers, is_symmetric=output.is_symmetric, source=source, bounds=layer.clamp, kernels=kernels)
