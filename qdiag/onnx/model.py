"""What an ONNX file holds, as plain values: nodes, inputs, outputs and constants."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LAYERS = "qdiag"
"""Domain of the nodes that stand for several nodes of the file, such as a linear layer or a SiLU."""


@dataclass(frozen=True)
class OnnxNode:
    """One operation.

    Attributes:
        op, domain: which one; the domain is empty for the operators of ONNX itself.
        name: as in the file, or the name of its first output where it has none.
        inputs: names of values; empty for an optional one that is left out. outputs: the same.
        attributes: numbers, texts, lists of them, arrays, and graphs.
    """

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """`Conv`, or `com.microsoft.FusedConv` for an operator of another domain."""
        return f"{self.domain}.{self.op}" if self.domain else self.op

    @property
    def graphs(self) -> tuple["OnnxGraph", ...]:
        """Graphs among the attributes: the branches of `If`, the body of `Loop`."""
        return tuple(value for value in self.attributes.values() if isinstance(value, OnnxGraph))


@dataclass(frozen=True)
class OnnxInput:
    """An input of the network.

    Attributes:
        dtype: of its elements.
        dims: sizes; None for one that is free, and None as a whole where the file does not say the shape.
    """

    name: str
    dtype: np.dtype[Any]
    dims: tuple[int | None, ...] | None

    @property
    def whole_shape(self) -> tuple[int, ...] | None:
        """With one sample where their number is free; None where another size is."""
        if not self.dims or any(d is None for d in self.dims[1:]):
            return None
        return (self.dims[0] or 1, *(d for d in self.dims[1:] if d is not None))

    @property
    def shape_text(self) -> str:
        """`(?, 3, ?, ?)`."""
        return f"({', '.join('?' if d is None else str(d) for d in self.dims or ())})"


@dataclass(frozen=True)
class OnnxGraph:
    """A network, or the branch of a node.

    Attributes:
        constants: initializers and what was computed from them; arrays that nobody writes to.
        opset: version of ONNX's own operators.
        forms: constants that the file has in another form: by name, the name there, and `transposed`, `vector` (of one
            axis), `reshaped` (by a node), `computed`, or `shared` (stored once for several layers).
        readers: of shared ones, the first output of the node that reads it in the file, and at which place.
    """

    nodes: tuple[OnnxNode, ...]
    inputs: tuple[OnnxInput, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]
    opset: int
    forms: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    readers: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxGraph":
        del memo
        return self


def all_nodes(graph: OnnxGraph) -> Iterator[OnnxNode]:
    """The nodes of a graph and of the graphs in it."""
    for node in graph.nodes:
        yield node
        for inner in node.graphs:
            yield from all_nodes(inner)


def outer_names(graph: OnnxGraph) -> set[str]:
    """Values that a branch reads from the graph around it."""
    own = {i.name for i in graph.inputs} | set(graph.constants)
    own |= {name for node in graph.nodes for name in node.outputs}
    read = {name for node in graph.nodes for name in read_names(node)} | set(graph.outputs)
    return {name for name in read - own if name}


def read_names(node: OnnxNode) -> tuple[str, ...]:
    """Every value that a node needs, also inside of its graphs."""
    inner = {name for graph in node.graphs for name in outer_names(graph)}
    return (*(name for name in node.inputs if name), *sorted(inner - set(node.inputs)))


def reshapes_to_one_sample(graph: OnnxGraph) -> bool:
    """Exporters that saw one sample write its number into shapes, although the file leaves it free.

    What is made of shapes alone holds no samples: grids of positions are reshaped to one row too.
    """
    sampled = {value.name for value in graph.inputs}
    for node in graph.nodes:
        if node.kind in ("Shape", "Size") or sampled.isdisjoint(node.inputs):
            continue
        sampled.update(filter(None, node.outputs))
        if node.kind == "Reshape" and node.inputs[0] in sampled:
            shape = graph.constants.get(node.inputs[1])
            if shape is not None and shape.size > 1 and int(shape.reshape(-1)[0]) == 1:
                return True
    return False


def without_unused(graph: OnnxGraph) -> OnnxGraph:
    """Without nodes that lead to no output, and without constants that nothing reads."""
    wanted = set(graph.outputs)
    kept: list[OnnxNode] = []
    for node in reversed(graph.nodes):
        if any(name in wanted for name in node.outputs):
            kept.append(node)
            wanted.update(read_names(node))
    constants = {name: array for name, array in graph.constants.items() if name in wanted}
    return replace(graph, nodes=tuple(reversed(kept)), constants=constants)
