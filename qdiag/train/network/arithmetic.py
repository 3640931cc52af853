"""How a layer computes while it is trained: as under its plan, bit for bit, with the history that a gradient needs."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from qdiag.core.graph import Layer
from qdiag.numerics.straight_through.identity import identity
from qdiag.numerics.straight_through.sloped import sloped
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import Arithmetic, LayerOp
from qdiag.simulate.arithmetic.differentiable import Differentiable
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.rounded_operands import RoundedOperands, operands_of
from qdiag.simulate.arithmetic.shift_batchnorm import ShiftBatchNorm
from qdiag.simulate.arithmetic.table import in_real_numbers
from qdiag.simulate.passes.weights import SimulatedWeights
from qdiag.train.network.derivatives import quantized

Normalize = Callable[[Tensor], Tensor]
"""From what an operation gives, or reads, to the output of the BatchNorm that stands there."""


@dataclass(frozen=True, eq=False)
class InTraining:
    """One step of the training: its weights, and the BatchNorms that use the statistics of the batch.

    Attributes:
        plan: what the layers compute under; None computes in float.
        weights: of this step, by layer, with their history.
        after: by layer, what a BatchNorm that is folded into it makes of the output without a bias.
        kept: by node name, what a BatchNorm that stays makes of its input.
    """

    plan: QuantPlan | None
    weights: Mapping[str, SimulatedWeights]
    after: Mapping[str, Normalize] = field(default_factory=dict)
    kept: Mapping[str, Normalize] = field(default_factory=dict)
    _values: Differentiable = field(default_factory=Differentiable)

    @property
    def key(self) -> Hashable:
        return "in_training", id(self)

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `Arithmetic`."""
        with torch.enable_grad():
            if op.node.name in self.kept:
                return self.kept[op.node.name](args[0])
            layer = op.layer
            if layer is None or op.node.name != layer.nodes[0]:
                return self._values.run(LayerOp(op.node), args, kwargs)
            weights, normalize = self.weights.get(layer.name), self.after.get(layer.name)
            if normalize is not None:
                assert weights is not None
                plain = LayerOp(op.node, layer, SimulatedWeights(weights.weight, None))
                return normalize(self._computed(plain, layer, (*args[:2], None, *args[3:]), kwargs))
            return self._computed(LayerOp(op.node, layer, weights), layer, args, kwargs)

    def _computed(self, op: LayerOp, layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Under the plan; what its arithmetic does beyond sums of products counts as the identity, and as constant
        where a sum saturates."""
        inner = in_real_numbers(self.plan, layer)
        if isinstance(inner, RoundedOperands):
            args = _rounded(inner, op, layer, args)
        output = self._values.run(op, args, kwargs)
        if inner is FAKE_QUANTIZED or isinstance(inner, RoundedOperands):
            return output
        with torch.no_grad():
            exact = _exact(inner, op, args, kwargs)
        return identity(output, exact) if isinstance(inner, ShiftBatchNorm) else sloped(output, exact, output == exact)


def _rounded(inner: RoundedOperands, op: LayerOp, layer: Layer, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with the operands as the layer reads them, with their derivatives."""
    with torch.no_grad():
        rounded = inner.rounded(op, args)
    pairs = zip(operands_of(op.node, layer, args), operands_of(op.node, layer, rounded), inner.quantizers, strict=True)
    derived = {
        id(value): quantized(x, quantizer, value=value)
        for x, value, quantizer in pairs
        if quantizer is not None and isinstance(x, Tensor)
    }
    made: tuple[Any, ...] = pytree.tree_map(lambda leaf: derived.get(id(leaf), leaf), rounded)
    return made


def _exact(inner: Arithmetic, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the arithmetic gives, without history."""
    weights = op.weights
    if weights is not None:
        weight, bias = (w.detach() if w is not None else None for w in (weights.weight, weights.bias))
        weights = SimulatedWeights(weight, bias)
    args, kwargs = pytree.tree_map_only(Tensor, Tensor.detach, (args, kwargs))
    return inner.run(LayerOp(op.node, op.layer, weights), args, kwargs)
