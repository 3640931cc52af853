"""What a node of the captured graph is called with."""

from typing import Any

from torch import fx
from torch._ops import OpOverload


def bound_arguments(node: fx.Node) -> dict[str, Any]:
    """Arguments of a node by their names in the schema of its operator, with the operator's defaults.

    A node that calls something else than an operator has its positional arguments by their place: "0", "1", and so on.
    """
    if not isinstance(node.target, OpOverload):
        return {str(i): value for i, value in enumerate(node.args)} | dict(node.kwargs)
    found: dict[str, Any] = {}
    for i, argument in enumerate(node.target._schema.arguments):
        value = argument.default_value if argument.has_default_value() else None
        if i < len(node.args):
            value = node.args[i]
        found[argument.name] = node.kwargs.get(argument.name, value)
    return found
