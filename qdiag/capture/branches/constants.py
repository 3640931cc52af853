"""Which nodes of a program depend on its inputs, and what the others are."""

from typing import Any

import torch
from torch import Tensor, fx

from qdiag.capture.ops import is_tensor, operation_name
from qdiag.capture.program import Program


class Constants:
    """Values of everything in a program that its inputs do not decide.

    Attributes:
        data: the nodes with tensors that depend on the inputs; sizes of such tensors do not count.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.data: set[fx.Node] = set()
        for node in program.graph.nodes:
            if node.op == "placeholder":
                if node.target in program.inputs:
                    self.data.add(node)
            elif node.op == "call_function" and is_tensor(node) and data_inputs(node, self.data):
                self.data.add(node)
        self._values: dict[fx.Node, Any] = {}

    def is_constant(self, argument: object) -> bool:
        """A number, or a node that leads to a tensor without the inputs."""
        if not isinstance(argument, fx.Node):
            return isinstance(argument, int | float)
        return argument not in self.data and is_tensor(argument)

    def value(self, argument: Any, given: dict[fx.Node, Any] | None = None) -> Any:
        """What an argument is; sizes are those of one sample.

        Args:
            given: values of nodes that depend on the inputs.
        """
        known = self._values if given is None else given
        if not isinstance(argument, fx.Node):
            return argument
        waiting = [argument]
        while waiting:
            node = waiting[-1]
            missing = [i for i in node.all_input_nodes if i not in known and not _is_size(node)]
            waiting += missing
            if not missing:
                waiting.pop()
                if node not in known:
                    known[node] = self._computed(node, known)
        return known[argument]

    def _computed(self, node: fx.Node, known: dict[fx.Node, Any]) -> Any:
        if node.op == "placeholder":
            return self._program.constants[str(node.target)]
        if _is_size(node):
            size = node.meta.get("val")
            return size if isinstance(size, int) else 1
        args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), lambda n: known[n])
        with torch.no_grad():
            return node.target(*args, **kwargs)  # type: ignore[operator]


def _is_size(node: fx.Node) -> bool:
    """The size of a tensor along an axis."""
    return node.op == "call_function" and operation_name(node) == "sym_size"


def data_inputs(node: fx.Node, data: set[fx.Node]) -> list[fx.Node]:
    """Its inputs among the data, each once."""
    return [i for i in node.all_input_nodes if i in data]


def sizes_of(node: fx.Node) -> tuple[int, ...]:
    """Sizes as captured, -1 where they may change; empty when unknown."""
    value = node.meta.get("val")
    sizes = value.shape if isinstance(value, Tensor) else ()
    return tuple(size if isinstance(size, int) else -1 for size in sizes)
