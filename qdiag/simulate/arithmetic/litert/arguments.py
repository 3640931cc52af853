"""Arguments of an operation for which no rule is known, although one is for others."""

from collections.abc import Mapping
from typing import Any

from torch import fx

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import Arithmetic
from qdiag.simulate.arithmetic.litert.elementwise import Product
from qdiag.simulate.arithmetic.litert.stored import Quotient, normalized_axis

_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_ELU = ("alpha", "scale", "input_scale")


def unknown_arguments(rule: Arithmetic, node: fx.Node) -> str | None:
    """Why integers may differ for the arguments of the operation with which a layer begins; None where they do not."""
    name = operation_name(node)
    if name == "div" and isinstance(node.args[1], fx.Node):
        if isinstance(rule, Product):
            return "a quotient of two values is computed in float"
        has_integers = isinstance(rule, Quotient) and rule.operands.of(node.args[1]) is not None
        return None if has_integers or normalized_axis(node) is not None else "its divisor is not in integers"
    return f"no rule is known for these arguments of {name}" if _is_unknown(name, node) else None


def made_by_rule(rule: Arithmetic, node: fx.Node) -> fx.Node | None:
    """What the operation reads in the graph, and its rule makes itself: the norm by which L2_NORMALIZATION divides."""
    is_normal = isinstance(rule, Quotient) and operation_name(node) == "div" and normalized_axis(node) is not None
    return node.args[1] if is_normal else None  # type: ignore[return-value]


def _is_unknown(name: str, node: fx.Node) -> bool:
    match name:
        case "add" | "sub" | "rsub":
            return bool(node.kwargs.get("alpha", 1) != 1) or len(node.args) > 2
        case "elu":
            return any(value != 1 for value in _given(node, _ELU).values())
        case "leaky_relu":
            return float(_given(node, ("negative_slope",)).get("negative_slope", 0.01)) < 0.0
        case "mean" | "sum" | "prod":
            return node.kwargs.get("dtype") is not None
        case "adaptive_avg_pool2d" | "_adaptive_avg_pool2d":
            return [int(size) for size in node.args[1]] != [1, 1]  # type: ignore[union-attr,arg-type]
        case "avg_pool2d":
            given = _given(node, _POOL)
            counts = given.get("count_include_pad", True) is not False
            return given.get("divisor_override") is not None or bool(given.get("ceil_mode") and counts)
    return False


def _given(node: fx.Node, names: tuple[str, ...]) -> Mapping[str, Any]:
    """Arguments behind the first, by name."""
    return {**dict(zip(names, node.args[1:], strict=False)), **node.kwargs}
