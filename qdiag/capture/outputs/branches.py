"""Which branch of the concats behind an output each of its values comes from.

Numbers of branches take the way that values take: through concats, moves and elementwise operations, from the concat to
the output. So whatever permutes, cuts or joins again is followed, without a rule for each.
"""

from collections import Counter
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.capture.outputs.moves import as_int, call, is_concat, is_elementwise, keeps_apart, shape_of
from qdiag.capture.program import Program
from qdiag.core.graph import OpGraph


class Branches:
    """The branches that end in the outputs of a network.

    Attributes:
        names: of all branches, by number: the layer that gives the values.
    """

    def __init__(self, program: Program, graph: OpGraph) -> None:
        self.names: list[str] = []
        self._program, self._graph = program, graph
        self._numbers: dict[fx.Node, Any] = {}
        self._taken: Counter[str] = Counter()
        on_the_way = _on_the_way(program)
        for node in program.graph.nodes:
            if node in on_the_way:
                try:
                    self._numbers[node] = self._follow(node)
                # arguments that are known while the network runs alone: from here on, nothing is told apart
                except (RuntimeError, TypeError, ValueError, IndexError, LookupError):
                    self._numbers[node] = None

    def of(self, node: fx.Node) -> Tensor | None:
        """Number of the branch for each value of one sample, shape that of the value without its first axis.

        None without a concat behind it, where branches meet in one value, and where samples differ in it.
        """
        numbers = self._numbers.get(node)
        if not isinstance(numbers, Tensor) or not numbers.ndim or not len(numbers):
            return None
        return numbers[0].long() if bool((numbers == numbers[:1]).all()) else None

    def _follow(self, node: fx.Node) -> Any:
        if is_concat(node):  # of data: the places of a grid are no branches
            return call(node, self._branch) if node.name in self._graph.sources else None
        known = [i for i in node.all_input_nodes if self._numbers.get(i) is not None]
        if not known:
            return None
        if not is_elementwise(node):
            return call(node, self._argument) if known == [node.args[0]] else None
        shape = shape_of(node)
        numbers = [torch.broadcast_to(self._numbers[i], shape or ()) for i in known]
        return numbers[0] if all(torch.equal(numbers[0], other) for other in numbers[1:]) else None

    def _branch(self, node: fx.Node) -> Any:
        """What a concat joins: branches told apart before, or one more branch."""
        known = self._numbers.get(node)
        if known is not None:
            return known
        shape = shape_of(node)
        if shape is None:
            return self._argument(node)
        sources = self._graph.sources.get(node.name)
        name = sources[0] if sources else node.name
        self._taken[name] += 1
        self.names.append(name if self._taken[name] == 1 else f"{name} ({self._taken[name]})")
        return torch.full(shape, float(len(self.names) - 1))

    def _argument(self, node: fx.Node) -> Any:
        """Branch numbers, a constant, or a size.

        Raises:
            LookupError: it is none of them.
        """
        if self._numbers.get(node) is not None:
            return self._numbers[node]
        if node.op == "placeholder":
            return self._program.constants[str(node.target)]
        value = node.meta["val"]
        if isinstance(value, int | torch.SymInt):
            return as_int(value)
        raise LookupError(node.name)


def _on_the_way(program: Program) -> set[fx.Node]:
    """Operations from which values reach an output of the network told apart."""
    found: set[fx.Node] = set()
    waiting = list(next(iter(reversed(program.graph.nodes))).all_input_nodes)
    while waiting:
        node = waiting.pop()
        if node not in found and keeps_apart(node):
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found
