"""How a backend computes a layer, as a value."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, fx

from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.base import Clamp
from qdiag.simulate.passes.weights import SimulatedWeights


@dataclass(frozen=True)
class LayerOp:
    """One operation of the graph.

    Attributes:
        layer: that it belongs to; None for what moves values, and for integers.
        weights: what it computes with in place of the weight and bias among its arguments; None leaves those.
        clamp: bounds between which it leaves its values itself, of a convolution in float whose sums are no NaN.
    """

    node: fx.Node
    layer: Layer | None = None
    weights: SimulatedWeights | None = None
    clamp: Clamp | None = None

    def arguments(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """(x, weight, bias, ...) with weight and bias replaced."""
        if self.weights is None:
            return args
        bias = (self.weights.bias,) if len(args) > 2 or self.weights.bias is not None else ()
        return (args[0], self.weights.weight, *bias, *args[3:])


class Arithmetic(Protocol):
    """How the layers of one lane compute. `run` is the only place where one does."""

    @property
    def key(self) -> Hashable:
        """Equal keys give equal results for the same operation on the same tensors."""

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of the operation, before any clamp and quantizer but the clamp of `op`.

        Args:
            args, kwargs: of the node, plain tensors; activations as they were quantized where they were made.
        """


@runtime_checkable
class AddsPairs(Protocol):
    """The arithmetic of a layer whose products may be added in pairs of int16 first, where they saturate."""

    @property
    def may_lose_pairs(self) -> bool:
        """The kernel adds pairs, as far as its quantizers tell."""

    def lost_in_pairs(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """What int16 cuts off each sum of products, one number for each; None where no input could drive a pair out.

        Args:
            args, kwargs: see `Arithmetic.run`.
        """


def clamped(x: Tensor, layer: Layer) -> Tensor:
    """What the clamp that is fused into the layer leaves."""
    return x.clamp(*layer.clamp) if layer.clamp is not None else x
