"""Recurrent layers, in torch's order of gates."""

from collections.abc import Mapping
from typing import Any

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.steps.peepholes import LSTM_PEEPHOLES
from qdiag.onnx.steps.reset_first import GRU_RESET_FIRST
from qdiag.onnx.values import Handle, Value

aten = torch.ops.aten
_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Gates of ONNX (iofc, zrh) in torch's order (ifgo, rzn)."""
_PLAIN = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


def _recurrent(call: Call) -> "tuple[Value, ...]":
    kind, scope = call.node.op, call.scope
    way = str(call.attribute("direction", "forward"))
    directions = 2 if way == "bidirectional" else 1
    _check(call, kind, directions)
    x = call.x(0)
    if call.attribute("layout", 0):
        x = scope.call(aten.transpose.int, x, 0, 1)
    if way == "reverse":
        x = scope.call(aten.flip.default, x, [0])
    hidden = int(call.attribute("hidden_size", int(scope.shape(call.value(2))[-1])))
    parameters = [p for d in range(directions) for p in _parameters(call, kind, d, hidden)]
    states = [_state(call, x, 5 + n, directions, hidden) for n in range(2 if kind == "LSTM" else 1)]
    target: Any = {"LSTM": aten.lstm.input, "GRU": aten.gru.input, "RNN": aten.rnn_tanh.input}[kind]
    if kind == "RNN" and "Relu" in call.attribute("activations", []):
        target = aten.rnn_relu.input
    if kind == "GRU" and not call.attribute("linear_before_reset", 0):
        target = GRU_RESET_FIRST
    if kind == "LSTM" and call.has(7):
        target = LSTM_PEEPHOLES
    start: Any = states if kind == "LSTM" else states[0]
    found = scope.call(target, x, start, parameters, call.has(3), 1, 0.0, False, directions == 2, False)
    return _arranged(call, found, directions, hidden, len(states))


def _check(call: Call, kind: str, directions: int) -> None:
    plain = _PLAIN[kind] * directions
    given = [str(a).capitalize() for a in call.attribute("activations", plain)]
    if given != plain and not (kind == "RNN" and set(given) == {"Relu"}):
        raise call.error(f"the activations {given} are not computed")
    if call.attribute("clip") or call.attribute("input_forget", 0):
        raise call.error("clipping and coupled gates are not computed")
    lengths = call.has(4)
    if lengths:
        raise call.error("sequences of different lengths (sequence_lens) are not computed")


def _parameters(call: Call, kind: str, direction: int, hidden: int) -> list[Handle]:
    """Weights of input and state, both biases, and weights of the cell, of one direction."""
    scope, gates = call.scope, len(_ORDER[kind])
    found = []
    for place in (1, 2):
        whole = scope.call(aten.select.int, call.x(place), 0, direction)
        found.append(_ordered(call, whole, kind, hidden))
    if call.has(3):
        both = scope.call(aten.select.int, call.x(3), 0, direction)
        for start in (0, gates * hidden):
            half = scope.call(aten.slice.Tensor, both, 0, start, start + gates * hidden)
            found.append(_ordered(call, half, kind, hidden))
    if kind == "LSTM" and call.has(7):
        found.append(scope.call(aten.select.int, call.x(7), 0, direction))
    return found


def _ordered(call: Call, whole: Handle, kind: str, hidden: int) -> Handle:
    scope = call.scope
    parts = [scope.call(aten.slice.Tensor, whole, 0, g * hidden, (g + 1) * hidden) for g in _ORDER[kind]]
    return scope.call(aten.cat.default, parts, 0) if len(parts) > 1 else whole


def _state(call: Call, x: Handle, index: int, directions: int, hidden: int) -> Handle:
    scope = call.scope
    if call.has(index):
        state = call.x(index)
        return scope.call(aten.transpose.int, state, 0, 1) if call.attribute("layout", 0) else state
    return scope.call(aten.new_zeros.default, x, [directions, scope.shape(x)[1], hidden])


def _arranged(call: Call, found: Handle, directions: int, hidden: int, states: int) -> "tuple[Value, ...]":
    """ONNX keeps directions on an axis of their own: (steps, directions, samples, hidden)."""
    scope = call.scope
    out = scope.pick(found, 0)
    steps, samples, _ = scope.shape(out)
    parts = scope.call(aten.reshape.default, out, [steps, -1, directions, hidden])
    del samples
    results = [scope.call(aten.permute.default, parts, [0, 2, 1, 3])]
    if str(call.attribute("direction", "forward")) == "reverse":
        results[0] = scope.call(aten.flip.default, results[0], [0])
    results += [scope.pick(found, 1 + n) for n in range(states)]
    if call.attribute("layout", 0):
        results[0] = scope.call(aten.permute.default, results[0], [2, 0, 1, 3])
        results[1:] = [scope.call(aten.transpose.int, state, 0, 1) for state in results[1:]]
    return tuple(results)


OPERATORS: Mapping[str, Operator] = {"LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent}
