"""Whether quantizers can be put into an ONNX file: what is known of it before anything is put in."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qdiag.errors import CaptureError
from qdiag.exporters.onnx.number_types import storage
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.network import Network

_OPSET_MIN, _OPSET_OF_16_BITS = 13, 21
_GRAPH, _GRAPHS, _EXTERNAL = 5, 10, 1
"""Types of attributes, and where a tensor is stored, as the format counts them."""


def is_valid(model: Any, checker: Any) -> bool:
    """Runtimes take files that the checker does not: such a file may stay so."""
    try:
        checker.check_model(model)
    except checker.ValidationError:
        return False
    return True


def check_insertable(model: Any, network: Network, plan: QuantPlan) -> None:
    """Raises `CaptureError` for a file that cannot hold the plan node by node; says why.

    Args:
        model: the file, as `onnx` reads it.
    """
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    quantizers = [q for own in plan.layers.values() for q in (own.output, own.weight) if isinstance(q, Affine)]
    is_wide = any(np.dtype(storage(q)).itemsize > 1 for q in quantizers)
    needed = _OPSET_OF_16_BITS if is_wide else _OPSET_MIN
    if opset < needed:
        raise CaptureError(f"it is in opset {opset}, and these quantizers need {needed}")
    if model.functions or any(a.type in (_GRAPH, _GRAPHS) for node in model.graph.node for a in node.attribute):
        raise CaptureError("it has graphs inside its nodes")
    if any(one.data_location == _EXTERNAL for one in model.graph.initializer):
        raise CaptureError("its tensors are in other files")
    nodes = {node.name: node for node in network.program.graph.nodes}
    for layer in network.graph.layers:
        if nodes[layer.nodes[0]].meta.get("folded_batchnorms"):
            raise CaptureError(f"a BatchNorm is folded into {layer.name}, and a node of its own in the file")


def stored_tensors(graph: Any) -> dict[str, Any]:
    """Initializers, and what `Constant` nodes hold, by name."""
    nodes = [node for node in graph.node if node.op_type == "Constant"]
    held = {node.output[0]: one.t for node in nodes for one in node.attribute if one.name == "value"}
    return {**held, **{one.name: one for one in graph.initializer}}


def without_unread(nodes: Sequence[Any], graph: Any) -> list[Any]:
    """Nodes without the `Constant` ones that nothing reads any more."""
    read = {name for node in nodes for name in node.input} | {one.name for one in graph.output}
    return [node for node in nodes if node.op_type != "Constant" or read.intersection(node.output)]
