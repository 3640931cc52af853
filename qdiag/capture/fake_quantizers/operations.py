"""Operations of fake quantization in a file become marks: what is measured is the network without them.

A `.pt2` or TorchScript holds them as `aten.fake_quantize_per_tensor_affine` and its kind, or as pairs that make
integers, and floats of them again. The graph with them is compared with the file; afterwards they are left out, and
their scales and zero points are kept beside it.
"""

import operator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.capture.fake_quantizers.decomposed import is_dequantizer, is_per_channel, quantizer_of
from qdiag.capture.fake_quantizers.folded_weight import unfold_weight
from qdiag.capture.fake_quantizers.operation import StoredOperation
from qdiag.capture.fake_quantizers.show import OUTPUT_MARK, WEIGHT_MARK, reads_as_weight
from qdiag.capture.ops import operation_name
from qdiag.capture.program import Program

_PER_TENSOR = ("fake_quantize_per_tensor_affine", "fake_quantize_per_tensor_affine_cachemask")
_PER_CHANNEL = ("fake_quantize_per_channel_affine", "fake_quantize_per_channel_affine_cachemask")
_LEARNABLE = ("_fake_quantize_learnable_per_tensor_affine", "_fake_quantize_learnable_per_channel_affine")
_WITH_SWITCH = "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams"
_WITH_MASK = (_PER_TENSOR[1], _PER_CHANNEL[1], _WITH_SWITCH)
_OPERATIONS = (*_PER_TENSOR, *_PER_CHANNEL, *_LEARNABLE, _WITH_SWITCH)


def give_shapes() -> None:
    """Tells torch the shapes of operations that tracing meets, of which torch 2.13 knows only some."""
    for name in _WITH_MASK:
        if not torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{name}", "Meta"):
            torch.library.impl(f"aten::{name}", "Meta")(_value_and_mask)


def _value_and_mask(x: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(x, dtype=torch.bool)


def without_operations(program: Program) -> Program:
    """The program without operations of fake quantization, which are told beside it; the given one stays."""
    if not any(_is_fake_quantizer(node) or is_dequantizer(node) for node in program.graph.nodes):
        return program
    graph = fx.Graph()
    graph.output(graph.graph_copy(program.graph, {}))
    found: list[StoredOperation] = []
    taken: set[str] = set()
    pairs: dict[fx.Node, StoredOperation] = {}
    for node in list(graph.nodes):
        if is_dequantizer(node):
            source = quantizer_of(node) or node
            one = pairs.setdefault(source, _stored(source, program, taken))
            if source is node:
                _mark_weights(node, one)
            else:
                pairs[source] = one = _taken_out(graph, node, one, program, source.args[0])
        elif _is_fake_quantizer(node):
            one = _stored(node, program, taken)
            found.append(_taken_out(graph, node, one, program, node.args[0]))
        else:
            continue
        taken.add(one.name)
    found += pairs.values()
    graph.eliminate_dead_code()
    graph.lint()
    alive = {node.target for node in graph.nodes if node.op == "placeholder" and node.users}
    constants = {name: value for name, value in program.constants.items() if name in alive}
    return replace(program, graph=graph, constants=constants, fake_quantizers=tuple(found))


def _is_fake_quantizer(node: fx.Node) -> bool:
    return node.op == "call_function" and operation_name(node) in _OPERATIONS


def _mark_weights(node: fx.Node, one: StoredOperation) -> None:
    """Of a weight that is stored as integers: what makes floats of it stays, and is computed like any other weight."""
    for reader in [user for user in node.users if reads_as_weight(user, node)]:
        reader.meta[WEIGHT_MARK] = one.name


def _taken_out(graph: fx.Graph, node: fx.Node, one: StoredOperation, program: Program, source: Any) -> StoredOperation:
    """Hands on what the operation read, and marks where it stood."""
    assert isinstance(source, fx.Node)
    values = [user for user in node.users if user.target is operator.getitem and user.args[1] == 0] or [node]
    readers = [user for value in values for user in value.users if reads_as_weight(user, value)]
    for value in values:
        value.replace_all_uses_with(source)
    for user in [*node.users, node]:
        if not user.users:
            graph.erase_node(user)
    for reader in readers:
        reader.meta[WEIGHT_MARK] = one.name
    if not readers:
        source.meta.setdefault(OUTPUT_MARK, one.name)

    def value_of(argument: fx.Node) -> Tensor | None:
        value = _value(argument, program)
        return value if isinstance(value, Tensor) else None

    unfolded = [unfold_weight(graph, reader, value_of) for reader in readers]
    return replace(one, is_folded=any(unfolded))


def _stored(node: fx.Node, program: Program, taken: set[str]) -> StoredOperation:
    name = operation_name(node)
    rest = list(node.args[3:])
    if name == _WITH_SWITCH:
        rest = rest[1:]
    has_axis = name in _PER_CHANNEL or name == _LEARNABLE[1] or is_per_channel(node)
    axis = int(rest.pop(0)) if has_axis else -1  # type: ignore[arg-type]
    scales, zero_points = (_numbers(argument, program) for argument in (node.args[1], node.args[2] or 0))
    if scales is None or zero_points is None or not all(0.0 < scale < float("inf") for scale in scales):
        scales, zero_points = None, None
    elif name in _LEARNABLE:
        low, high = int(rest[0]), int(rest[1])  # type: ignore[arg-type]
        zero_points = tuple(min(max(float(round(z)), low), high) for z in zero_points)
    elif len(zero_points) == 1:
        zero_points = zero_points * len(scales)
    return StoredOperation(
        *(_name(node, program, taken), scales, zero_points or (), axis),
        *(int(rest[0]), int(rest[1])),  # type: ignore[arg-type]
    )


def _name(node: fx.Node, program: Program, taken: set[str]) -> str:
    scale = node.args[1]
    path = program.parameter_names.get(str(scale.target), "") if isinstance(scale, fx.Node) else ""
    own = path.removesuffix(".scale") if path.endswith(".scale") else node.name
    return own if own not in taken else node.name


def _numbers(argument: Any, program: Program) -> tuple[float, ...] | None:
    value = _value(argument, program)
    if isinstance(value, Tensor):
        return tuple(value.detach().double().flatten().tolist())
    return (float(value),) if isinstance(value, int | float) else None


def _value(argument: Any, program: Program) -> Any:
    """What an argument is where constants alone decide it; None otherwise."""
    if not isinstance(argument, fx.Node):
        return argument
    if argument.op == "placeholder":
        return program.constants.get(str(argument.target))
    if argument.op != "call_function" or _is_random(argument):
        return None
    values = {one: _value(one, program) for one in argument.all_input_nodes}
    if any(value is None for value in values.values()):
        return None
    args, kwargs = fx.node.map_arg((argument.args, dict(argument.kwargs)), values.__getitem__)
    with torch.no_grad():
        return argument.target(*args, **kwargs)  # type: ignore[operator]


def _is_random(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
