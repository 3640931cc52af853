"""Turns in-place operations into functional ones.

`x.relu_()` becomes `relu(x)` and later readers of x read the result. That is right as long as nothing else looks at the
memory of x. Where a view does (`x[:, :4].add_(1)`), torch's own functionalization does the work: it is always right,
and ten times slower.
"""

import torch
from torch import fx
from torch._ops import OpOverload
from torch.export import ExportedProgram

_ALIASING = {"aten::dropout", "aten::feature_dropout", "aten::alpha_dropout", "aten::contiguous", "aten::to"}
"""Operations that may hand back their input although their schema does not say so."""


def needs_full_functionalization(program: ExportedProgram) -> bool:
    """True when an in-place operation writes to memory that is read through another name, or to a constant.

    Also where autocast or vmap are regions of the graph: decomposition alone says what is computed inside.
    """
    if any(_is_region(node) for node in program.graph.nodes):
        return True
    order = {node: i for i, node in enumerate(program.graph.nodes)}
    return any(_is_in_place(node) and not _is_private(node, order) for node in program.graph.nodes)


def functionalize(graph: fx.Graph) -> None:
    """Replaces every in-place operation of the graph; the graph must not need full functionalization."""
    for node in list(graph.nodes):
        if not _is_in_place(node):
            continue
        functional = _functional(node.target)
        assert functional is not None
        written = node.args[0]
        assert isinstance(written, fx.Node)
        node.target = functional
        seen = False
        for user in list(graph.nodes):
            if seen and user is not node:
                user.replace_input_with(written, node)
            seen = seen or user is node


def _is_region(node: fx.Node) -> bool:
    if node.op != "call_function" or isinstance(node.target, OpOverload):
        return False
    name, module = getattr(node.target, "__name__", ""), getattr(node.target, "__module__", "") or ""
    return name.startswith(("wrap_with_", "hints_wrapper")) or module.startswith("torch._functorch")


def _is_in_place(node: fx.Node) -> bool:
    if node.op != "call_function" or not isinstance(node.target, OpOverload):
        return False
    return bool(node.target._schema.is_mutable)


def _functional(target: object) -> OpOverload | None:
    """The overload without the trailing underscore and with the same arguments."""
    assert isinstance(target, OpOverload)
    space, _, name = target._schema.name.partition("::")
    if not name.endswith("_") or name.endswith("__"):
        return None
    packet = getattr(getattr(torch.ops, space), name[:-1], None)
    overload = getattr(packet, target._overloadname, None) if packet is not None else None
    return overload if isinstance(overload, OpOverload) else None


def _is_private(node: fx.Node, order: dict[fx.Node, int]) -> bool:
    written = node.args[0] if node.args else None
    if not isinstance(written, fx.Node) or _functional(node.target) is None or written.op == "placeholder":
        return False
    if _may_alias(written):
        return False
    # a view made of the value, before or after the write, must not be read after it
    for user in written.users:
        if user is not node and _may_alias(user) and any(order[u] > order[node] for u in user.users):
            return False
    return True


def _may_alias(node: fx.Node) -> bool:
    if node.op != "call_function":
        return False
    if not isinstance(node.target, OpOverload):
        return True  # operator.getitem on the pieces of a split
    schema = node.target._schema
    if schema.is_mutable:
        return False  # its result is the functional value by the time anyone asks
    return schema.name in _ALIASING or any(r.alias_info is not None for r in schema.returns)
