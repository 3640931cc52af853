"""Weights and biases that `forward` computes from parameters alone become constants of the layer that reads them.

A sum of two biases, joined biases of q, k and v, weight norm, spectral norm, standardized weights, pruning masks and
parametrizations: a backend stores the result, and quantizes it as it does any weight. The program as captured keeps the
computation, so that a change of a parameter arrives at the layers that are computed from it.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

from qdiag.capture.low_bit import mark_signs
from qdiag.capture.ops import has_weight, kind_and_policy, operation_name
from qdiag.capture.program import Program

_PARAMETRIZED = re.compile(r"(?P<module>.*\.|)parametrizations\.(?P<tensor>\w+)\..+")
_HOOKED = re.compile(r"(?P<tensor>.*weight|.*bias)_(orig|mask|g|v|u)")
"""How torch names what a tensor is computed from: parametrizations; pruning, weight and spectral norm as hooks."""


def fold_computed(program: Program) -> Program:
    """A program whose layers and norms have constants where parameters alone decide the value; the given one stays.

    Only what stands where an operation takes its weight, its bias or the parameters of a norm is folded: other
    constants are operands, with quantizers of their own.
    """
    graph = fx.Graph()
    graph.output(graph.graph_copy(program.graph, {}))
    folder = _Folder(program, graph)
    for node in list(graph.nodes):
        for argument in parameter_arguments(node):
            if argument.op == "call_function" and folder.is_constant(argument):
                node.replace_input_with(argument, folder.constant(argument))
    if not folder.has_folded:
        return program
    graph.eliminate_dead_code()
    graph.lint()
    alive = {node.target for node in graph.nodes if node.op == "placeholder" and node.users}
    constants = {name: value for name, value in folder.constants.items() if name in alive}
    return replace(program, graph=graph, constants=constants, parameter_names=folder.names)


def parameter_arguments(node: fx.Node) -> list[fx.Node]:
    """What stands where an operation takes weight, bias, or the parameters of a norm."""
    if node.op != "call_function":
        return []
    kind = kind_and_policy(node)[0]
    if has_weight(kind):
        found = [*node.args[1:3], node.kwargs.get("weight"), node.kwargs.get("bias")]
    elif kind == "norm" or operation_name(node) in ("prelu", "_prelu_kernel"):
        found = [*node.args[1:], *node.kwargs.values()]
    else:
        return []
    return [argument for argument in found if isinstance(argument, fx.Node) and argument is not node.args[0]]


def stored_name(names: Iterable[str]) -> str | None:
    """The parameter that a value stands for, as the plain layer would call it; None where it joins several.

    >>> stored_name(["0.parametrizations.weight.original0", "0.parametrizations.weight.original1"])
    '0.weight'
    """
    plain = dict.fromkeys(map(_plain, names))
    weights = [name for name in plain if name.rpartition(".")[2] == "weight"]
    found = list(plain) if len(plain) == 1 else weights
    return found[0] if len(found) == 1 else None


def _plain(name: str) -> str:
    match = _PARAMETRIZED.fullmatch(name)
    if match is not None:
        return match["module"] + match["tensor"]
    hooked = _HOOKED.fullmatch(name)
    return hooked["tensor"] if hooked is not None else name


class _Folder:
    """Values of what parameters alone decide, in a graph that is being rewritten."""

    def __init__(self, program: Program, graph: fx.Graph) -> None:
        self._graph = graph
        self.constants = dict(program.constants)
        self.names = dict(program.parameter_names)
        self._is_constant: dict[fx.Node, bool] = {}
        for node in graph.nodes:  # in an order in which the inputs of a node come before it
            if node.op == "placeholder":
                self._is_constant[node] = node.target not in program.inputs and node.target in program.constants
            else:
                own = node.op == "call_function" and _is_repeatable(node)
                self._is_constant[node] = own and all(self._is_constant[i] for i in node.all_input_nodes)
        self._numbers: dict[fx.Node, int] = {}
        self._spelled: dict[str, int] = {}
        self._values: dict[int, Any] = {}
        self._made: dict[int, fx.Node] = {}

    @property
    def has_folded(self) -> bool:
        """Something has been replaced."""
        return bool(self._made)

    def is_constant(self, node: fx.Node) -> bool:
        """Nothing but constants, and operations that give the same every time, leads to a tensor."""
        return self._is_constant.get(node, False) and isinstance(self._values[self._number(node)], Tensor)

    def constant(self, node: fx.Node) -> fx.Node:
        """A placeholder for the value; what is computed again in the same way, as in a recurrence, gets the same."""
        number = self._number(node)
        if number not in self._made:
            with self._graph.inserting_before(next(iter(self._graph.nodes))):
                made = self._graph.placeholder(f"{node.name}_computed")
            value = self._values[number]
            made.meta = {"val": value}
            behind = _behind(node)
            mark_signs(made, behind)
            self.constants[str(made.target)] = value.detach().clone(memory_format=torch.contiguous_format)
            roots = [str(at.target) for at in behind if at.op == "placeholder"]
            name = stored_name(self.names[root] for root in roots if root in self.names)
            if name is not None:
                self.names[str(made.target)] = name
            self._made[number] = made
        return self._made[number]

    def _number(self, node: fx.Node) -> int:
        """Equal for nodes that compute the same from the same; the value is known afterwards."""
        pending = [node]
        while pending:
            at = pending[-1]
            missing = [i for i in at.all_input_nodes if i not in self._numbers]
            pending += missing
            if missing:
                continue
            pending.pop()
            if at in self._numbers:
                continue
            numbers = fx.node.map_arg((at.args, dict(at.kwargs)), lambda n: f"#{self._numbers[n]}")
            spelled = f"{at.op} {at.target} {numbers}"
            self._numbers[at] = self._spelled.setdefault(spelled, len(self._spelled))
            if self._numbers[at] not in self._values:
                self._values[self._numbers[at]] = self._computed(at)
        return self._numbers[node]

    def _computed(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self.constants[str(node.target)]
        args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), lambda n: self._values[self._numbers[n]])
        with torch.no_grad():
            return node.target(*args, **kwargs)  # type: ignore[operator]


def _is_repeatable(node: fx.Node) -> bool:
    """The operation gives the same every time, and changes nothing."""
    if isinstance(node.target, OpOverload):
        is_random = torch.Tag.nondeterministic_seeded in node.target.tags
        return not is_random and not node.target._schema.is_mutable
    return getattr(node.target, "__module__", None) in ("_operator", "math")


def _behind(node: fx.Node) -> list[fx.Node]:
    """A node and all that lead to it, in the order in which they are read."""
    found: dict[fx.Node, None] = {}
    pending = [node]
    while pending:
        at = pending.pop()
        if at not in found:
            found[at] = None
            pending += reversed(at.all_input_nodes)
    return list(found)
