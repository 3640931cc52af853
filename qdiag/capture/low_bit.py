"""Layers whose weights are binary or ternary as they stand."""

from collections.abc import Iterable, Mapping
from typing import Literal

from torch import Tensor, fx

from qdiag.capture.ops import has_weight, kind_and_policy, operation_name, weight_axis
from qdiag.numerics.low_bit import low_bit_format

_SIGNS = ("sign", "sgn", "where", "heaviside", "copysign", "ge", "gt", "le", "lt")
_HAS_SIGN = "has_sign"


def mark_signs(constant: fx.Node, operations: Iterable[fx.Node]) -> None:
    """Notes at the placeholder of a computed weight whether a sign or a comparison stands among its operations."""
    constant.meta[_HAS_SIGN] = any(operation_name(node) in _SIGNS for node in operations if node.op == "call_function")


def hand_on_signs(old: object, new: fx.Node) -> None:
    """The same note at the placeholder that takes the place of another."""
    if isinstance(old, fx.Node):
        new.meta[_HAS_SIGN] = old.meta.get(_HAS_SIGN, False)


def weight_format(constants: Mapping[str, Tensor], layer: fx.Node) -> Literal["binary", "ternary"] | None:
    """`binary` or `ternary` where a sign or a comparison in `forward` makes the weight so.

    A weight that is stored as signs is one that the scheme quantizes: nothing says that its backend stores one bit.
    """
    node = layer.args[1]
    weight = constants.get(str(node.target)) if isinstance(node, fx.Node) else None
    kind = kind_and_policy(layer)[0]
    if not isinstance(node, fx.Node) or weight is None or not has_weight(kind) or not node.meta.get(_HAS_SIGN, False):
        return None
    return low_bit_format(weight, weight_axis(kind))
