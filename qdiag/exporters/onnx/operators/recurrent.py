"""LSTM and GRU of several layers and both directions, one operator of ONNX a layer."""

from collections.abc import Mapping, Sequence

import numpy as np

from qdiag.exporters.onnx.call import Call
from qdiag.exporters.onnx.operators.kind import Writer
from qdiag.onnx.model import Array

_LSTM_GATES, _GRU_GATES = (0, 3, 1, 2), (1, 0, 2)
"""Torch has i, f, g, o and r, z, n; ONNX has i, o, f, c and z, r, h: where each of its gates stands in torch."""


def _reordered(array: Array, gates: Sequence[int]) -> Array:
    parts = np.split(array, len(gates))
    return np.concatenate([parts[gate] for gate in gates])


class _Stack:
    """The parameters of a stack, in torch's order: layer by layer, direction by direction."""

    def __init__(self, call: Call, gates: Sequence[int]) -> None:
        self._call, self._gates = call, gates
        self.directions = 2 if call.get("bidirectional", False) else 1
        self._count = 4 if call.get("has_biases", True) else 2
        self._names = [one.name for one in call.get("params")]

    def inputs(self, layer: int) -> tuple[str, str, str]:
        """Names of W, R and B of one layer; B is empty where there are no biases."""
        first = layer * self.directions * self._count
        starts = [first + direction * self._count for direction in range(self.directions)]
        found = []
        for letter, places in (("W", (0,)), ("R", (1,)), ("B", (2, 3))):
            if letter == "B" and self._count == 2:
                found.append("")
                continue
            rows = [np.concatenate([self._array(start + place) for place in places]) for start in starts]
            found.append(self._call.graph.constant(f"{self._call.name}/{letter}{layer}", np.stack(rows)))
        return found[0], found[1], found[2]

    def _array(self, place: int) -> Array:
        array = self._call.graph.constants.get(self._names[place])
        if array is None:
            raise self._call.error("has weights that are computed, which is not written")
        return _reordered(array, self._gates)


def _written(call: Call, op: str, gates: Sequence[int], states: Sequence[str]) -> list[str]:
    stack, layers = _Stack(call, gates), int(call.get("num_layers", 1))
    is_batch_first = bool(call.get("batch_first", False))
    x = call.tensor("input")
    if len(call.shape("input")) != 3:
        raise call.error("of one sample without an axis of samples is not written")
    x = call.add("Transpose", x, suffix="/time_first", perm=[1, 0, 2]) if is_batch_first else x
    attributes = {
        "direction": "bidirectional" if stack.directions == 2 else "forward",
        "hidden_size": int(call.example()[1].shape[-1]),
        **({"linear_before_reset": 1} if op == "GRU" else {}),
    }
    ends: list[tuple[str, ...]] = []
    for layer in range(layers):
        name = call.name if layers == 1 else f"{call.name}/{layer}"
        initial = [_of_layer(call, state, layer, layers, stack.directions) for state in states]
        inputs = (x, *stack.inputs(layer), "", *initial)
        y, *last = call.graph.add_several(op, inputs, name, 1 + len(states), **attributes)
        ends.append(tuple(last))
        y = call.add("Transpose", y, suffix=f"/directions{layer}", perm=[0, 2, 1, 3])
        x = call.add("Reshape", y, call.graph.integers([0, 0, -1]), suffix=f"/joined{layer}")
    x = call.add("Transpose", x, suffix="/samples_first", perm=[1, 0, 2]) if is_batch_first else x
    if layers == 1:
        return [x, *ends[0]]
    return [x, *(call.add("Concat", *parts, suffix="/states", axis=0) for parts in zip(*ends, strict=True))]


def _of_layer(call: Call, state: str, layer: int, layers: int, directions: int) -> str:
    if layers == 1:
        return state
    bounds = [call.graph.integers([layer * directions]), call.graph.integers([(layer + 1) * directions])]
    return call.add("Slice", state, *bounds, call.graph.integers([0]), suffix=f"/state{layer}")


def _lstm(call: Call) -> list[str]:
    return _written(call, "LSTM", _LSTM_GATES, [one.name for one in call.get("hx")])


def _gru(call: Call) -> list[str]:
    return _written(call, "GRU", _GRU_GATES, [call.tensor("hx")])


OPERATORS: Mapping[str, Writer] = {"lstm": _lstm, "gru": _gru}
