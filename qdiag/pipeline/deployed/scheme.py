"""The scheme that a quantized file follows, and what it has for each layer of the float network."""

import glob
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import Tensor, fx

from qdiag.core.graph import CONSTANT, INPUT, Layer
from qdiag.core.scheme import FLOAT_BITS, BiasType, LayerOverride, QuantScheme, TensorChange, TensorScheme
from qdiag.integer_file import StoredTensor
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.stored_weight import StoredWeight
from qdiag.pipeline.deployed.file_layers import FileLayer
from qdiag.plan import StoredBias, StoredLayer
from qdiag.simulate.passes.network import Network

_INT32_MAX = (1 << 31) - 1
IN_FLOAT = "the file leaves it in float"
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, eq=False)
class FilePlan:
    """A file as a plan for a float network: the scheme in words, and the integers themselves."""

    scheme: QuantScheme
    stored: Mapping[str, StoredLayer]


def file_plan(
    network: Network, layers: Mapping[str, FileLayer], *, name: str, folds: bool, keeps_bias_scales: bool = False
) -> FilePlan:
    """The plan of a file.

    Args:
        network: the float one. layers: what the file has, by layer of the float network; others stay in float.
        name: of the scheme. folds: the file has no BatchNorm of its own. keeps_bias_scales: see `StoredBias`.
    """
    sites = network.graph.sites
    found = {layer.name: layers.get(layer.name, FileLayer()) for layer in sites}
    axes = {layer.name: layer.weight_axis for layer in sites}
    weights = _commonest(
        _weight_scheme(one.weight, axes[name]) for name, one in found.items() if one.weight is not None
    )
    outputs = _commonest(_output_scheme(one.output) for one in found.values() if one.output is not None)
    base = QuantScheme(
        name=name,
        description="as the file stores it",
        weights=weights or TensorScheme(bits=FLOAT_BITS),
        activations=outputs or TensorScheme(bits=FLOAT_BITS, symmetric=False, signed=False),
        fold_batchnorm=folds,
    )
    overrides = tuple(_override(layer, found[layer.name], base) for layer in sites)
    scheme = replace(base, layers=overrides)
    stored = {layer.name: _stored(network, layer, found, scheme, keeps_bias_scales) for layer in sites}
    return FilePlan(scheme, stored)


def _commonest(values: Iterable[T]) -> T | None:
    counts = Counter(values)
    return counts.most_common(1)[0][0] if counts else None


def _output_scheme(quantizer: Affine) -> TensorScheme:
    bits = (quantizer.quant_max - quantizer.quant_min).bit_length()
    return TensorScheme(bits=bits, symmetric=quantizer.is_symmetric, signed=quantizer.quant_min < 0)


def _weight_scheme(stored: StoredTensor, axis: int) -> TensorScheme:
    """Scales along another axis than that of the output channels have no name in a scheme: one scale is next to it."""
    quantizer = stored.quantizer
    plain = _output_scheme(quantizer)
    is_narrow = plain.symmetric and plain.signed and int(stored.integers.min()) > quantizer.quant_min
    granularity = "per_channel" if quantizer.channel_axis == axis else "per_tensor"
    return replace(plain, narrow_range=is_narrow, granularity=granularity)  # type: ignore[arg-type]


def _override(layer: Layer, found: FileLayer, base: QuantScheme) -> LayerOverride:
    outputs, weights = TensorChange(bits=FLOAT_BITS), TensorChange()
    if found.output is not None:
        own = _output_scheme(found.output)
        outputs = replace(_difference(own, base.activations), range=_ends(found.output, own)[0])
    if layer.weight is not None:
        weights = TensorChange(bits=FLOAT_BITS)
    if found.weight is not None:
        own, quantizer = _weight_scheme(found.weight, layer.weight_axis), found.weight.quantizer
        weights = _difference(own, base.weights)
        if quantizer.channel_axis is None:
            weights = replace(weights, range=_ends(quantizer, own)[0])
        elif quantizer.channel_axis == layer.weight_axis:
            weights = replace(weights, channel_ranges=_ends(quantizer, own))
    has_float_bias = layer.bias is not None and found.weight is not None and found.bias is None
    bias: BiasType | None = "float" if has_float_bias else None
    if found.bias is not None and found.bias.quantizer.quant_max > _INT32_MAX:
        bias = "int64"
    return LayerOverride(glob.escape(layer.name), weights=weights, activations=outputs, bias=bias)


def _difference(own: TensorScheme, base: TensorScheme) -> TensorChange:
    names = ("bits", "symmetric", "signed", "narrow_range", "granularity")
    changed = {name: getattr(own, name) for name in names if getattr(own, name) != getattr(base, name)}
    return TensorChange(**changed)


def _ends(quantizer: Affine, scheme: TensorScheme) -> tuple[tuple[float, float], ...]:
    """Lowest and highest value of each channel, from which `Affine.from_range` makes the scale again."""
    pairs = []
    numbers = zip(quantizer.scale.flatten().tolist(), quantizer.zero_point.flatten().tolist(), strict=True)
    for scale, zero_point in numbers:
        low, high = (scheme.quant_min - zero_point) * scale, (scheme.quant_max - zero_point) * scale
        if scheme.symmetric and scheme.signed:
            high = scale * (scheme.quant_max - scheme.quant_min) / 2.0
            low = -high
        pairs.append((low, high))
    return tuple(pairs)


def _stored(
    network: Network, layer: Layer, found: Mapping[str, FileLayer], scheme: QuantScheme, keeps_bias_scales: bool
) -> StoredLayer:
    own, constants = found[layer.name], network.program.constants
    weight = constants[layer.weight] if layer.weight else None
    bias = constants[layer.bias] if layer.bias else None
    quantizer = _stored_weight(own.weight, weight)
    arguments, quantizers = _stored_constants(network, layer, own)
    source = found[layer.inputs[0]].output if layer.inputs and layer.inputs[0] in found else None
    is_float = own.output is None and layer.kind not in (INPUT, CONSTANT)
    if layer.weight is not None:
        is_float = quantizer is None
    return StoredLayer(
        output=own.output,
        activations=scheme.activations_of(layer.name),
        weight=quantizer,
        weights=scheme.weights_of(layer.name),
        # a Gemm of onnxruntime takes no scale of its bias
        bias=_stored_bias(own.bias, bias, source, quantizer, keeps_bias_scales and layer.kind != "linear"),
        float_weight=weight,
        float_bias=bias,
        float_reason=IN_FLOAT if is_float else None,
        constants=arguments,
        constant_quantizers=quantizers,
    )


def _stored_constants(
    network: Network, layer: Layer, own: FileLayer
) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Affine]]:
    """Constants without a quantizer of their own that the layer reads at the same places as in the file."""
    sites = {one.nodes[0] for one in network.graph.sites if one.kind == CONSTANT}
    node, found, quantizers = network.node(layer.nodes[0]), {}, {}
    for place, values in own.arguments.items():
        argument = node.args[place] if place < len(node.args) else None
        name = argument.name if isinstance(argument, fx.Node) and argument.name not in sites else ""
        constant = network.program.constants.get(name)
        if constant is not None and constant.numel() == values.numel():
            found[name] = (constant, values.reshape(constant.shape).to(constant))
            if place in own.argument_quantizers:
                quantizers[name] = own.argument_quantizers[place]
    return found, quantizers


def _stored_weight(stored: StoredTensor | None, weight: Tensor | None) -> StoredWeight | None:
    if stored is None or weight is None or stored.integers.shape != weight.shape:
        return None
    q = stored.quantizer
    numbers = (q.scale, q.zero_point, q.quant_min, q.quant_max, q.channel_axis)
    return StoredWeight(*numbers, is_symmetric=q.is_symmetric, integers=stored.integers.int())


def _stored_bias(
    stored: StoredTensor | None, bias: Tensor | None, source: Affine | None, weight: Affine | None, keeps_scale: bool
) -> StoredBias | None:
    if stored is None or bias is None or stored.integers.shape != bias.shape:
        return None
    return StoredBias(stored.integers, stored.quantizer.scale, source, weight, keeps_scale)
