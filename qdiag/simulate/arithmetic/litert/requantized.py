"""Integers of one scale as those of another: the operator QUANTIZE, in front of other operators and behind them."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.in_turn import InTurn
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.litert.rule import Kernels, Rule, is_known, requantized


def levels(quantizer: Affine) -> Tensor:
    """All `q - zero_point`, ascending; int64."""
    return torch.arange(quantizer.quant_min, quantizer.quant_max + 1) - int(quantizer.zero_point)


def looked_up(x: Tensor, source: Affine, values: Tensor) -> Tensor:
    """The value of each integer behind quantized values.

    Args:
        values: by integer, ascending.
    """
    places = torch.round(x / float(source.scale)).to(torch.int32).sub_(int(levels(source)[0]))
    return values.to(x.device).index_select(0, places.flatten()).view(x.shape)


def as_integers_of(x: Tensor, source: Affine, target: Affine, kernels: Kernels) -> Tensor:
    """Quantized values at another scale, as QUANTIZE gives them; float32."""
    if source.key == target.key:
        return x
    values = requantized(levels(source), source, target, kernels).float() * float(target.scale)
    return looked_up(x, source, values)


@dataclass(frozen=True, eq=False)
class KernelsInTurn(InTurn):
    """Quantizers one after the other, the first as ever and the others as QUANTIZE rounds.

    Attributes:
        kernels: whose.
    """

    kernels: Kernels = "xnnpack"

    @classmethod
    def like(cls, quantizer: InTurn, kernels: Kernels) -> InTurn:
        """The same quantizers; as they are where one of them has no bytes."""
        last = quantizer.last
        if not all(map(is_known, (*quantizer.before, last))):
            return quantizer
        numbers = (last.scale, last.zero_point, last.quant_min, last.quant_max)
        return cls(*numbers, is_symmetric=last.is_symmetric, before=quantizer.before, kernels=kernels)

    @cached_property
    def key(self) -> Hashable:
        return (self.kernels, "in turn", *(one.key for one in self.before), self.last.key)

    @cached_property
    def _values(self) -> Tensor:
        """By integer of the first quantizer, ascending."""
        first, *others = (*self.before, self.last)
        steps = levels(first)
        for one, other in zip((first, *others), others, strict=False):
            steps = requantized(steps, one, other, self.kernels)
        return steps.float() * float(self.scale)

    def quantize(self, x: Tensor) -> Tensor:
        """The integers of the last one; shape of x."""
        return self.last.quantize(self.fake_quantize(x))

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        first = self.before[0]
        first.fake_quantize_chunk(source, target)
        target.copy_(looked_up(target, first, self._values))


@dataclass(frozen=True, eq=False)
class Concat(Rule):
    """CONCATENATION: what is joined is quantized anew where it has another scale."""

    name: ClassVar[str] = "concat"
    narrows: ClassVar[bool] = False

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        sources = [self.operands.of(node) for node in op.node.args[0]]  # type: ignore[union-attr]
        if not all(isinstance(one, Affine) and is_known(one) for one in sources):
            return None
        parts = [
            as_integers_of(x, source, self.output, self.kernels)
            for x, source in zip(args[0], sources, strict=True)
            if isinstance(source, Affine)
        ]
        joined: Tensor = op.node.target(parts, *args[1:], **kwargs)  # type: ignore[operator]
        return joined


@dataclass(frozen=True, eq=False)
class Larger(Rule):
    """MAXIMUM and MINIMUM: both values are quantized anew where they have another scale."""

    name: ClassVar[str] = "larger"
    narrows: ClassVar[bool] = False

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        sources = [self.quantizer(op, place) for place in range(len(args))]
        parts = [
            as_integers_of(x, source, self.output, self.kernels)
            for x, source in zip(args, sources, strict=True)
            if source is not None
        ]
        if len(parts) != 2 or kwargs:
            return None
        found: Tensor = op.node.target(*parts)  # type: ignore[operator]
        return found
