"""A scheme applied to one network: every quantizer with its numbers, or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.core.scheme import BiasType, QuantScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.binary import Binary

SPLIT = "left out, so that its branches come out one by one"
"""Why what stands behind a split concat is not quantized."""


@dataclass(frozen=True)
class LayerPlan:
    """The quantizers of one layer.

    Attributes:
        output: quantizer at the output; None leaves it in float.
        shared_with: the layer whose quantizer `output` is; None when it is the layer's own.
        weight: quantizer of the weight; None leaves it in float.
        float_reason: why the layer's arithmetic runs in float; None when it does not.
        bias_shift: (C,), added to the float bias before it is quantized, where the weight is quantized too: it makes up
            for what rounding of the weight does to the mean. The float network does not see it.
        bias: integer type of this layer's bias where it differs from the scheme's.
        source: quantizer at whose scale the layer adds up although its input stays in float: a layer that is switched
            on by itself still has the accumulator of its backend.
        operands: quantizers of the values that the layer multiplies, where it rounds them as it reads them: in blocks,
            or to signs that nobody else reads. One for each of `operands_of`; empty otherwise.
        is_left_out: it stands behind a concat that is split, so it is no part of the network that runs in integers.
    """

    output: Quantizer | None = None
    shared_with: str | None = None
    weight: Quantizer | None = None
    float_reason: str | None = None
    bias_shift: Tensor | None = None
    bias: BiasType | None = None
    source: Quantizer | None = None
    operands: tuple[Quantizer | None, ...] = ()
    is_left_out: bool = False

    @property
    def skip_reason(self) -> str | None:
        """Why the layer is not quantized; None when it is."""
        return SPLIT if self.is_left_out else self.float_reason

    @property
    def reads_signs(self) -> bool:
        """The layer takes the signs of what it multiplies, while others read the values as they are."""
        return any(isinstance(one, Binary) for one in self.operands)


@dataclass(frozen=True)
class QuantPlan:
    """Layer name to quantizers; changes return a new plan."""

    scheme: QuantScheme
    layers: Mapping[str, LayerPlan]

    def with_layer(self, name: str, **changes: Quantizer | Tensor | str | None) -> "QuantPlan":
        """The plan with some fields of one layer replaced.

        Raises:
            KeyError: the plan has no such layer.
        """
        changed = replace(self.layers[name], **changes)  # type: ignore[arg-type]
        return replace(self, layers={**self.layers, name: changed})

    def integer_operands(self, layer: Layer) -> tuple[Affine, Affine] | None:
        """Quantizers of a layer's input and weight, whose integers are multiplied and added at one scale per channel.

        None where there are none: a side in float, a format without integers, or one scale per group of weights.
        """
        source, weight = self.layers[layer.name].source, self.layers[layer.name].weight
        if source is None and layer.inputs:
            source = self.layers[layer.inputs[0]].output
        if isinstance(source, Affine) and isinstance(weight, Affine) and weight.granularity != "per_group":
            return source, weight
        return None

    @property
    def quantized_count(self) -> int:
        """Quantizers of the plan: own outputs, weights, and operands that are rounded as they are read."""
        own = sum(p.output is not None and p.shared_with is None for p in self.layers.values())
        operands = sum(one is not None for p in self.layers.values() for one in p.operands)
        return own + operands + sum(p.weight is not None for p in self.layers.values())
