"""A plan as other quantizers need it: layers in float by their names, formats, and ranges of activations."""

from collections.abc import Mapping
from dataclasses import dataclass

from qdiag.core.graph import INPUT, Layer
from qdiag.core.scheme import QuantScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.recorder import LAYER_NAME, TENSOR_NAME
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.network import Network


@dataclass(frozen=True)
class PlainPlan:
    """What other quantizers are told.

    Attributes:
        in_float: layers whose arithmetic or weight stays in float, in graph order: their nodes in the user's file where
            the network came from one, otherwise their names here.
        ranges: by activation of the user's file, lowest and highest value that its quantizer holds; empty where the
            network came from no file with names of tensors.
        has_file_names: the names are those of the user's file.
    """

    scheme: QuantScheme
    in_float: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    has_file_names: bool


def plain_plan(network: Network, plan: QuantPlan) -> PlainPlan:
    """The plan without tensors; nothing is changed."""
    nodes = {node.name: node for node in network.program.graph.nodes}
    has_names = any(LAYER_NAME in node.meta for node in nodes.values())
    in_float, ranges = [], {}
    for layer in network.graph.layers:
        own = plan.layers[layer.name]
        if layer.kind != INPUT and _is_float(layer, plan):
            in_float.append(str(nodes[layer.nodes[0]].meta.get(LAYER_NAME, layer.name)))
        tensor = nodes[layer.output].meta.get(TENSOR_NAME)
        if isinstance(own.output, Affine) and own.shared_with is None and tensor is not None and has_names:
            record = own.output.record()
            ranges[str(tensor)] = (record.range_min, record.range_max)
    return PlainPlan(plan.scheme, tuple(dict.fromkeys(in_float)), ranges, has_names)


def _is_float(layer: Layer, plan: QuantPlan) -> bool:
    own = plan.layers[layer.name]
    return own.skip_reason is not None or (layer.weight is not None and own.weight is None)
