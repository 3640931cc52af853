"""Recurrent layers, branches and spelled-out shapes against onnxruntime."""

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
import onnx

from qdiag.capture.ops import operation_name
from qdiag.onnx.load import load_network
from tests.networks.onnx_files import Array, node, onnx_bytes
from tests.oracle.onnx.against_onnxruntime import COUNTS, compared

RNG = np.random.default_rng(0)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def f(*shape: int) -> Array:
    return RNG.uniform(-1.0, 1.0, shape).astype(np.float32)


@pytest.mark.parametrize("way", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
def test_a_recurrent_layer(op: str, way: str) -> None:
    directions = 2 if way == "bidirectional" else 1
    gates, outputs = GATES[op], "o h c" if op == "LSTM" else "o h"
    constants = {"w": f(directions, gates * 5, 3), "r": f(directions, gates * 5, 5), "b": f(directions, 2 * gates * 5)}
    more = {"linear_before_reset": 1} if op == "GRU" else {}
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node(op, "t w r b", outputs, hidden_size=5, direction=way, **more),
    ]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 4, 3])}, constants, outputs.split())
    compared(content, [{"x": f(count, 4, 3)} for count in COUNTS], 5e-6)


@pytest.mark.parametrize("way", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "with biases and a state"])
def test_a_gru_that_resets_before_the_product(way: str, is_plain: bool) -> None:
    """It stays one operation, and is another function than the GRU of torch."""
    directions = 2 if way == "bidirectional" else 1
    constants = {"w": f(directions, 15, 3), "r": f(directions, 15, 5)}
    inputs = {"x": ("float32", ["N", 4, 3])}
    if not is_plain:
        constants["b"], inputs["h"] = f(directions, 30), ("float32", [directions, "N", 5])

    def written(after: int) -> bytes:
        more = {"hidden_size": 5, "direction": way, "linear_before_reset": after}
        names = "t w r" if is_plain else "t w r b - h"
        nodes = [node("Transpose", "x", "t", perm=[1, 0, 2]), node("GRU", names, "o hn", "gru", **more)]
        return onnx_bytes(nodes, inputs, constants, ["o", "hn"])

    feeds = [{"x": f(n, 4, 3)} | ({} if is_plain else {"h": f(directions, n, 5)}) for n in COUNTS]
    program = compared(written(0), feeds, 5e-6)
    assert "gru_reset_first" in [operation_name(one) for one in program.graph.nodes if one.op == "call_function"]
    first, second = (load_network(written(n), "net.onnx") for n in (0, 1))
    given = {name: torch.from_numpy(value) for name, value in feeds[0].items()}
    assert (first(**given)["o"] - second(**given)["o"]).abs().max() > 0.01


@pytest.mark.parametrize("way", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "with biases and states"])
def test_an_lstm_whose_gates_see_the_cell(way: str, is_plain: bool) -> None:
    directions = 2 if way == "bidirectional" else 1
    constants = {"w": f(directions, 20, 3), "r": f(directions, 20, 5), "p": f(directions, 15)}
    inputs = {"x": ("float32", ["N", 4, 3])}
    states = ("h", "c")
    if not is_plain:
        constants["b"] = f(directions, 40)
        inputs |= dict.fromkeys(states, ("float32", [directions, "N", 5]))
    names = "t w r - - - - p" if is_plain else "t w r b - h c p"
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("LSTM", names, "o hn cn", "lstm", hidden_size=5, direction=way),
    ]
    content = onnx_bytes(nodes, inputs, constants, ["o", "hn", "cn"])
    feeds = [{"x": f(n, 4, 3)} | ({} if is_plain else {s: f(directions, n, 5) for s in states}) for n in COUNTS]
    program = compared(content, feeds, 5e-6)
    assert "lstm_peepholes" in [operation_name(one) for one in program.graph.nodes if one.op == "call_function"]


def test_a_recurrent_layer_with_states() -> None:
    constants = {"w": f(1, 20, 3), "r": f(1, 20, 5)}
    inputs = {"x": ("float32", ["N", 4, 3]), "h": ("float32", [1, "N", 5]), "c": ("float32", [1, "N", 5])}
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node("LSTM", "t w r - - h c", "o hn cn", hidden_size=5),
        node("Squeeze", "o one", "y"),
    ]
    content = onnx_bytes(nodes, inputs, {**constants, "one": np.asarray([1])}, ["y", "hn", "cn"])
    compared(content, [{"x": f(n, 4, 3), "h": f(1, n, 5), "c": f(1, n, 5)} for n in (2, 5)], 5e-6)


def test_an_exporter_that_saw_one_sample_wrote_it_into_a_shape() -> None:
    """The batch is free in the file, and the network computes one sample at a time."""
    constants = {"to": np.asarray([1, -1], np.int64), "w": f(24, 5)}
    nodes = [node("Relu", "x", "r"), node("Reshape", "r to", "f", "flat"), node("MatMul", "f w", "y")]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 2, 3, 4])}, constants)
    assert load_network(content, "net.onnx").batch_size == 1
    compared(content, [{"x": f(1, 2, 3, 4)}], is_free=False)
    constants["to"] = np.asarray([-1, 24], np.int64)
    assert load_network(onnx_bytes(nodes, {"x": ("float32", ["N", 2, 3, 4])}, constants), "net.onnx").batch_size is None


def test_a_grid_of_positions_is_reshaped_to_one_row_and_holds_no_samples() -> None:
    """As detectors make their anchors: from the height of a map, whatever the number of samples is."""
    constants = {"0": np.asarray(0), "i2": np.asarray(2), "step": np.asarray(1), "to": np.asarray([1, -1])}
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s i2", "h"),
        node("Range", "0 h step", "g"),
        node("Cast", "g", "gf", to=1),
        node("Reshape", "gf to", "row"),
        node("ReduceMean", "x", "m", axes=[1, 3], keepdims=0),
        node("Add", "m row", "y"),
    ]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 3, "H", "W"])}, constants)
    assert load_network(content, "net.onnx").batch_size is None
    compared(content, [{"x": f(count, 3, 4, 5)} for count in COUNTS])


def test_shapes_that_exporters_spell_out_leave_nothing_in_the_graph() -> None:
    constants = {"0": np.asarray(0), "i1": np.asarray(1), "a0": np.asarray([0]), "m1": np.asarray([-1])}
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s 0", "n"),
        node("Gather", "s i1", "c"),
        node("Unsqueeze", "n a0", "nv"),
        node("Unsqueeze", "c a0", "cv"),
        node("Concat", "nv cv m1", "to", axis=0),
        node("Reshape", "x to", "r"),
        node("ReduceMean", "r", "y", axes=[2], keepdims=0),
    ]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 3, "H", "W"])}, constants)
    program = compared(content, [{"x": f(count, 3, 4, 5)} for count in COUNTS])
    assert [operation_name(n) for n in program.graph.nodes if n.op == "call_function"] == ["reshape", "mean"]


def test_a_token_for_each_sample_and_positions_from_sizes() -> None:
    """The way of a small transformer: a class token expanded to the batch, positions from a range, a mask."""
    constants = {
        **{"token": f(1, 1, 4), "0": np.asarray(0), "i1": np.asarray(1), "a0": np.asarray([0]), "v1": np.asarray([1])},
        **{"v4": np.asarray([4]), "table": f(9, 4), "zero": np.asarray([0.0], np.float32)},
    }
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s 0", "n"),
        node("Unsqueeze", "n a0", "nv"),
        node("Concat", "nv v1 v4", "to", axis=0),
        node("Expand", "token to", "tokens"),
        node("Concat", "tokens x", "all", axis=1),
        node("Shape", "all", "s2"),
        node("Gather", "s2 i1", "len"),
        node("Range", "0 len i1", "places"),
        node("Gather", "table places", "pos"),
        node("Add", "all pos", "h"),
        node("ConstantOfShape", "nv", "zeros", value=onnx.helper.make_tensor("v", 1, [1], [0.5])),
        node("Unsqueeze", "zeros un", "z3"),
        node("Add", "h z3", "k"),
        node("Size", "x", "count"),
        node("Cast", "n", "nf", to=1),
        node("Mul", "k nf", "y"),
    ]
    constants["un"] = np.asarray([1, 2])
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 5, 4])}, constants)
    compared(content, [{"x": f(count, 5, 4)} for count in COUNTS])


def branch(op: str, constants: dict[str, Array]) -> Any:
    nodes = [node("Conv", "x w", "h", f"conv in {op}"), node(op, "h", "out")]
    return onnx.ModelProto.FromString(onnx_bytes(nodes, {}, constants, ["out"])).graph


@pytest.mark.parametrize("size", [6, 9])
def test_a_branch_that_a_size_decides(size: int) -> None:
    """Both branches call their weights the same."""
    constants = {"two": np.asarray(2), "eight": np.asarray(8)}
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s two", "n"),
        node("Greater", "n eight", "is_long"),
        node(
            "If",
            "is_long",
            "y",
            then_branch=branch("Relu", {"w": f(2, 3, 3)}),
            else_branch=branch("Tanh", {"w": f(2, 3, 3)}),
        ),
    ]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 3, "T"])}, constants)
    program = compared(content, [{"x": f(count, 3, size)} for count in COUNTS])
    names = [operation_name(n) for n in program.graph.nodes if n.op == "call_function"]
    assert names == ["conv1d", "relu" if size > 8 else "tanh"]
    assert set(program.parameter_names.values()) >= {"w" if size > 8 else "w#2"}
