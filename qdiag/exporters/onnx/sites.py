"""Where a layer ends: its clamp and its quantizer."""

import math

import numpy as np

from qdiag.core.graph import Layer
from qdiag.exporters.onnx.graph import GraphWriter
from qdiag.exporters.onnx.number_types import as_affine, fills_storage
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer

Bounds = tuple[float, float]


def clamped(graph: GraphWriter, tensor: str, bounds: Bounds, name: str) -> str:
    """The tensor behind a Relu or a Clip."""
    low, high = bounds
    if (low, high) == (0.0, math.inf):
        return graph.add("Relu", (tensor,), f"{name}/Relu")
    inputs = [graph.constant(f"number_{end:g}", np.float32(end)) if math.isfinite(end) else "" for end in (low, high)]
    while inputs and not inputs[-1]:
        inputs.pop()
    return graph.add("Clip", (tensor, *inputs), f"{name}/Clip")


def kept_in_float(graph: GraphWriter, tensor: str, name: str) -> str:
    """The tensor behind the maximum of itself alone, which changes nothing.

    Between a DequantizeLinear and a QuantizeLinear onnxruntime quantizes a weight in float, per tensor, and computes
    the layer with integers; a node between them that it does not take away keeps it from that.
    """
    return graph.add("Max", (tensor,), f"{name}/kept_in_float")


def closed(graph: GraphWriter, tensor: str, layer: Layer, quantizer: Quantizer | None) -> str:
    """The output of a layer, from its value before the clamp.

    A clamp that the integers cover stands before the QuantizeLinear, where runtimes leave it to saturation. Any other
    one would keep the layer from an integer kernel there: it follows on the quantized values, and on these it is exact.
    The same holds for a range that is narrower than the type which holds it.
    """
    bounds = layer.clamp
    if quantizer is None:
        return tensor if bounds is None else clamped(graph, tensor, bounds, layer.name)
    affine = as_affine(quantizer, layer.name)
    if bounds is not None and (layer.kind == "clamp" or (fills_storage(affine) and affine.covers(bounds))):
        tensor, bounds = clamped(graph, tensor, bounds, layer.name), None
    remaining = _remaining(affine, bounds)
    if remaining is None:
        return graph.quantized(tensor, affine, layer.name)
    wide = graph.quantized(tensor, affine, f"{layer.name}/unclamped")
    return graph.quantized(clamped(graph, wide, remaining, layer.name), affine, layer.name)


def _remaining(quantizer: Affine, bounds: Bounds | None) -> Bounds | None:
    """Bounds that saturation does not hold."""
    low, high = bounds or (-math.inf, math.inf)
    if not fills_storage(quantizer):
        scale, zero_point = float(quantizer.scale), float(quantizer.zero_point)
        low = max(low, (quantizer.quant_min - zero_point) * scale)
        high = min(high, (quantizer.quant_max - zero_point) * scale)
    return None if math.isinf(low) and math.isinf(high) else (low, high)
