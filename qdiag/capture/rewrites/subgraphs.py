"""Operations that hold graphs of their own (`torch.cond`, `while_loop`, `map`) as plain calls.

A program is one graph without modules around it, so the inner graphs become part of what is called.
"""

from collections.abc import Callable
from typing import Any

from torch import fx, nn


def bind_subgraphs(graph: fx.Graph, owner: nn.Module) -> None:
    """Makes each such operation a function of its tensors alone; it runs in float, under its own name.

    Args:
        owner: the module whose attributes the graph names.
    """
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        inner = {
            index: owner.get_submodule(str(argument.target))
            for index, argument in enumerate(node.args)
            if isinstance(argument, fx.Node) and argument.op == "get_attr"
        }
        if inner:
            node.target = _bound(node.target, inner)
            node.args = tuple(a for index, a in enumerate(node.args) if index not in inner)
    for node in reversed(graph.nodes):
        if node.op == "get_attr" and not node.users:
            graph.erase_node(node)


def _bound(target: Any, inner: dict[int, nn.Module]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        rest = iter(args)
        whole = [inner[i] if i in inner else next(rest) for i in range(len(args) + len(inner))]
        return target(*whole, **kwargs)

    call.__name__ = call.__qualname__ = str(getattr(target, "__name__", target)).rpartition(".")[2]
    return call
