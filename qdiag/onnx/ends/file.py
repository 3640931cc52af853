"""An ONNX file cut where its network is read up to."""

from typing import Any

from qdiag.onnx.ends.graph import ENDS, cut_of
from qdiag.onnx.read import parse


def cut_file(model: Any, at: str) -> Any:
    """The file up to what non-maximum suppression reads, see `without_end`; the file itself where there is none.

    Args:
        model: as `onnx` reads it; not changed. at: its name, for errors.

    Raises:
        LoadError: the file cannot be read, or not be cut.
    """
    kinds = _kinds(model.graph).union(node.op_type for function in model.functions for node in function.node)
    if not kinds.intersection(ENDS):
        return model
    import onnx
    import onnx.inliner

    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    found = cut_of(parse(model.SerializeToString(), at))
    if found is None:
        return model
    part = onnx.ModelProto.FromString(model.SerializeToString())
    del part.graph.output[:]
    # without a type, which the runtime finds out
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in found.outputs)
    wanted, kept = set(found.outputs), []
    for node in reversed(part.graph.node):
        if wanted.intersection(node.output) and not found.gone.intersection(node.output):
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
            wanted |= _read(node)
    del part.graph.node[:]
    part.graph.node.extend(reversed(kept))
    unread = [one for one in part.graph.initializer if one.name not in wanted]
    for one in unread:
        part.graph.initializer.remove(one)
    return part


def _graphs(node: Any) -> list[Any]:
    return [graph for one in node.attribute for graph in (*([one.g] if one.HasField("g") else []), *one.graphs)]


def _kinds(graph: Any) -> set[str]:
    inner = [kind for node in graph.node for branch in _graphs(node) for kind in _kinds(branch)]
    return {node.op_type for node in graph.node} | set(inner)


def _read(node: Any) -> set[str]:
    """What a node reads, and whatever else is named in its graphs."""
    found = set(node.input)
    for graph in _graphs(node):
        found |= {one.name for one in graph.output}.union(*(_read(inner) for inner in graph.node))
    return found
