"""Where the channels of each value lie: on the second axis, as convolutions have them, or on the last one."""

from typing import Any

from torch import Tensor, fx

from qdiag.capture.ops import kind_and_policy, operation_name

_LAST_NORMS = ("layer_norm", "native_layer_norm", "rms_norm")
_VIEWS = ("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "expand", "expand_as", "view_as")


def channels_last_of(nodes: list[fx.Node]) -> dict[fx.Node, bool]:
    """Nodes whose channels are known to lie on the last axis (True) or the second (False); all others are left out."""
    found: dict[fx.Node, bool] = {}
    for node in nodes:
        is_last = _of(node, found) if node.op == "call_function" else _as_read(node)
        if is_last is not None:
            found[node] = is_last
    return found


def _as_read(node: fx.Node) -> bool | None:
    """An input, by the layers with weights that read it as it is."""
    kinds = {kind_and_policy(user)[0] for user in node.users if user.op == "call_function" and user.args[0] is node}
    if kinds and kinds <= {"conv", "conv_transpose", "linear"} and node.op == "placeholder":
        return True if kinds == {"linear"} else None if "linear" in kinds else False
    return None


def _of(node: fx.Node, found: dict[fx.Node, bool]) -> bool | None:
    kind, policy = kind_and_policy(node)
    name = operation_name(node)
    if kind in ("conv", "conv_transpose", "linear"):
        return kind == "linear"
    if kind == "norm" and name not in _LAST_NORMS:
        return False
    if name in _LAST_NORMS and len(_listed(node.args[1])) == 1:
        return True
    if policy == "float" or kind == "matmul":
        return None
    source = next((i for i in node.all_input_nodes if i in found and _may_pass_on(i, node)), None)
    if source is None:
        return None
    if name in ("permute", "transpose", "swapaxes"):
        return _moved(node, name, len(_shape(source)), found[source])
    before, after = _shape(source), _shape(node)
    if len(before) == len(after) and name not in _VIEWS:
        return found[source]
    at = -1 if found[source] else 1
    keeps = len(after) > 1 and isinstance(after[at], int) and after[at] == before[at]
    return found[source] if keeps else None


def _may_pass_on(source: fx.Node, node: fx.Node) -> bool:
    """A value that moves, or an operand as large as the result; what is broadcast has no say."""
    return kind_and_policy(node)[1] == "pass" or len(_shape(source)) == len(_shape(node))


def _moved(node: fx.Node, name: str, rank: int, is_last: bool) -> bool | None:
    """After the axes changed places."""
    order = list(range(rank))
    given = _listed(node.args[1]) if name == "permute" else node.args[1:3]
    numbers = [i for i in given if isinstance(i, int)]
    if len(numbers) < len(given) or not rank:
        return None
    if name == "permute":
        order = [i % rank for i in numbers]
    else:
        a, b = (i % rank for i in numbers)
        order[a], order[b] = order[b], order[a]
    place = order.index(rank - 1 if is_last else 1)
    return True if place == rank - 1 else False if place == 1 else None


def _shape(node: fx.Node) -> tuple[Any, ...]:
    """As capture saw it; of several results, that of the first; empty where it is not known."""
    value = node.meta.get("val")
    if isinstance(value, list | tuple) and value:
        value = value[0]
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
