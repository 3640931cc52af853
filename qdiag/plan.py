"""A scheme applied to one network: every quantizer with its numbers, or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.core.scheme import BiasType, QuantScheme, RuntimeName, TensorScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.binary import Binary

SPLIT = "left out, so that its branches come out one by one"
"""Why what stands behind a split concat is not quantized."""
_BIAS_OF_RUNTIME: Mapping[RuntimeName, BiasType] = {"ort": "int32", "fbgemm": "float", "qnnpack": "int32"}
"""onnxruntime makes int32 of any bias, and so does torch with qnnpack; with fbgemm it adds it in float32."""


_SAME_SCALE = 0.05
"""Share of its scale by which that of a bias may be off before onnxruntime computes a convolution in float."""


@dataclass(frozen=True, eq=False)
class StoredBias:
    """The bias of a layer as a file has it.

    Attributes:
        integers: (C,), int64. scale: of the file, float32, shape () or (C,).
        source, weight: quantizers of the layer's input and weight in the file, at whose scales it is added; None where
            the file has none there.
        keeps_scale: a runtime takes the scale of the file, and leaves the layer in float, where it is not the product
            of the other two.
    """

    integers: Tensor
    scale: Tensor
    source: Affine | None
    weight: Affine | None
    keeps_scale: bool = False

    def own_values(self, product: Tensor) -> Tensor | None:
        """Float64 (C,), where they are not the integers at the scale of input times weight; None where they are."""
        own = self.scale.double().to(product.device)
        if not self.keeps_scale or not bool(((own - product).abs() > _SAME_SCALE * product).any()):
            return None
        return self.integers.to(product.device).double() * own

    def fits(self, operands: tuple[Affine, Affine] | None) -> bool:
        """The layer multiplies at the scales for which the integers were made."""
        if operands is None or self.source is None or self.weight is None:
            return False
        pairs = ((operands[0].scale, self.source.scale), (operands[1].scale, self.weight.scale))
        return all(torch.equal(one.cpu(), other.cpu()) for one, other in pairs)


@dataclass(frozen=True, eq=False)
class StoredLayer:
    """What a file has for one layer, used for as long as nothing is changed there.

    Attributes:
        output: quantizer of its output; None leaves it in float.
        activations: the scheme of its output, for which `output` stands.
        weight: its integers; None leaves the weight in float. weights: the scheme for which they stand.
        bias: None: as the scheme says.
        float_weight, float_bias: of the float network, for which the integers stand.
        float_reason: why the layer computes in float; None when it does not.
        constants: other tensors that the layer reads and the file has as integers, by their names in the graph of the
            float network: as that has them, and as the integers stand for them. Scale and shift of a norm are such.
        constant_quantizers: of those that have one scale, by the same names.
    """

    output: Affine | None
    activations: TensorScheme
    weight: Affine | None = None
    weights: TensorScheme | None = None
    bias: StoredBias | None = None
    float_weight: Tensor | None = None
    float_bias: Tensor | None = None
    float_reason: str | None = None
    constants: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    constant_quantizers: Mapping[str, Affine] = field(default_factory=dict)


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
        stored_bias: integers of the bias that a file has for this layer.
        constants: in place of constants of the graph that the layer reads, by their names.
        constant_quantizers: of those of `constants` whose integers a file has at one scale.
        is_stored: a file computes the layer, with the operator that it has there; else it is written anew.
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
    stored_bias: StoredBias | None = None
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    constant_quantizers: Mapping[str, Affine] = field(default_factory=dict)
    is_stored: bool = False

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

    def bias_type(self, layer: Layer) -> BiasType:
        """What the bias of a layer with integer operands is added as: some runtimes have but one kind."""
        own = _BIAS_OF_RUNTIME.get(self.scheme.arithmetic)
        return own or self.layers[layer.name].bias or self.scheme.bias_of(layer.name)

    def integer_operands(self, layer: Layer) -> tuple[Affine, Affine] | None:
        """Quantizers of a layer's input and weight, whose integers are multiplied and added at one scale per channel.

        None where there are none: a side in float, a format without integers, one scale per group of weights, or scales
        along another axis than that of the output channels.
        """
        source, weight = self.layers[layer.name].source, self.layers[layer.name].weight
        if source is None and layer.inputs:
            source = self.layers[layer.inputs[0]].output
        has_one_scale = weight is not None and weight.channel_axis in (None, layer.weight_axis)
        if isinstance(source, Affine) and isinstance(weight, Affine) and weight.group_size is None and has_one_scale:
            return source, weight
        return None

    @property
    def quantized_count(self) -> int:
        """Quantizers of the plan: own outputs, weights, and operands that are rounded as they are read."""
        own = sum(p.output is not None and p.shared_with is None for p in self.layers.values())
        operands = sum(one is not None for p in self.layers.values() for one in p.operands)
        return own + operands + sum(p.weight is not None for p in self.layers.values())
