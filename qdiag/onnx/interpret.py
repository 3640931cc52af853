"""A graph from its inputs to its outputs, node by node, in any scope."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from qdiag.errors import CaptureError, QdiagError
from qdiag.onnx.call import Call
from qdiag.onnx.host import on_host
from qdiag.onnx.model import OnnxGraph, OnnxNode, read_names
from qdiag.onnx.operators import OPERATORS
from qdiag.onnx.scope import Eager, Scope
from qdiag.onnx.values import Known, Value


def interpret(
    graph: OnnxGraph, scope: Scope, inputs: Mapping[str, Value], outer: Mapping[str, Value] | None = None
) -> tuple[Value, ...]:
    """The outputs.

    Args:
        inputs: by name. outer: values of the graph around it, which a branch may read.

    Raises:
        CaptureError: an operator does not compute here what the file asks for.
    """
    values: dict[str, Value] = {**(outer or {}), **{name: Known(array) for name, array in graph.constants.items()}}
    values |= inputs
    last = _last_readers(graph)
    for position, node in enumerate(graph.nodes):
        for name, value in zip(node.outputs, compute(node, scope, values, graph.opset), strict=False):
            if name:
                values[name] = value
                scope.made(name, value)
        for name in last.get(position, ()):
            values.pop(name, None)
    return tuple(_named(values, name) for name in graph.outputs)


def compute(node: OnnxNode, scope: Scope, values: Mapping[str, Value], opset: int) -> tuple[Value, ...]:
    """The outputs of one node.

    Raises:
        CaptureError: as `interpret`.
    """
    inputs = tuple(_named(values, name) if name else None for name in node.inputs)
    call = Call(node, scope, inputs, opset)
    try:
        if node.op == "If" and not node.domain:
            return _branch(call, values)
        if inputs and all(i is None or isinstance(i, Known) for i in inputs):
            known = on_host(call) or _on_tensors(call)
            if known is not None:
                return known
        with scope.at(node.name):
            result = OPERATORS[node.kind](call)
    except QdiagError:
        raise
    # torch refuses arguments in as many ways as there are operations
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AssertionError, OverflowError) as error:
        raise call.error("its inputs and attributes do not fit together") from error
    return result if isinstance(result, tuple) else (result,)


def _on_tensors(call: Call) -> tuple[Value, ...] | None:
    """Constants out of constants, by the operator itself."""
    if any(isinstance(i, Known) and i.is_symbolic for i in call.inputs):
        return None
    with torch.no_grad():
        result = OPERATORS[call.node.kind](Call(call.node, Eager({}), call.inputs, call.opset))
    parts = result if isinstance(result, tuple) else (result,)
    return tuple(part if isinstance(part, Known) else Known(_array(part)) for part in parts)


def _array(value: Any) -> Any:
    return value.detach().numpy()


def _branch(call: Call, values: Mapping[str, Value]) -> tuple[Value, ...]:
    """The branch that a known condition takes."""
    condition = call.value(0)
    if not isinstance(condition, Known) or condition.is_symbolic:
        raise call.error("its condition depends on the data of the network, and a graph follows one branch alone")
    chosen = "then_branch" if bool(np.asarray(condition.array).reshape(-1)[0]) else "else_branch"
    graph = call.attribute(chosen)
    return interpret(graph, call.scope, {}, values)


def _named(values: Mapping[str, Value], name: str) -> Value:
    if name not in values:
        raise CaptureError(f"nothing in the file computes the value {name!r}")
    return values[name]


def _last_readers(graph: OnnxGraph) -> dict[int, list[str]]:
    """By position of a node, the values that nobody reads after it."""
    last = {name: position for position, node in enumerate(graph.nodes) for name in read_names(node)}
    found: dict[int, list[str]] = {}
    for name, position in last.items():
        if name not in graph.outputs:
            found.setdefault(position, []).append(name)
    return found
