"""What exporters take apart is one operation again, and computes what onnxruntime computes."""

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx_ir")
from qdiag.capture.ops import operation_name
from tests.networks.onnx_files import Array, node, onnx_bytes
from tests.oracle.onnx.against_onnxruntime import compared

Spelled = tuple[list[Any], dict[str, Any]]


def number(value: float) -> Array:
    return np.asarray(value, np.float32)


RNG = np.random.default_rng(0)
SCALE, SHIFT = (RNG.uniform(0.5, 1.5, 6).astype(np.float32) for _ in range(2))
C = {
    **{"c3": number(3.0), "c0": number(0.0), "c6": number(6.0), "sixth": number(1 / 6), "half": number(0.5)},
    **{"root2": number(math.sqrt(2.0)), "one": number(1.0), "cubic": number(0.044715)},
    **{"root": number(math.sqrt(2.0 / math.pi)), "two": number(2.0), "eps": number(1e-3)},
    **{"scale": SCALE, "shift": SHIFT},
}
NORM = [
    node("ReduceMean", "x", "m", axes=[-1]),
    node("Sub", "x m", "d"),
    node("Pow", "d two", "q"),
    node("ReduceMean", "q", "v", axes=[-1]),
    node("Add", "v eps", "e"),
    node("Sqrt", "e", "s"),
    node("Div", "d s", "n"),
]
TAKEN_APART: dict[str, tuple[str, list[Any]]] = {
    "SiLU": ("silu", [node("Sigmoid", "x", "s"), node("Mul", "s x", "y")]),
    "hard-swish of Paddle": (
        "hardswish",
        [node("Add", "x c3", "a"), node("Clip", "a c0 c6", "b"), node("Mul", "x b", "c"), node("Div", "c c6", "y")],
    ),
    "hard-swish of a gate": (
        "hardswish",
        [node("Add", "c3 x", "a"), node("Clip", "a c0 c6", "b"), node("Mul", "b sixth", "c"), node("Mul", "x c", "y")],
    ),
    "hard-swish of HardSigmoid": (
        "hardswish",
        [node("HardSigmoid", "x", "a", alpha=1 / 6), node("Mul", "x a", "y")],
    ),
    "hard-sigmoid": (
        "hardsigmoid",
        [node("Add", "x c3", "a"), node("Clip", "a c0 c6", "b"), node("Div", "b c6", "y")],
    ),
    "GELU": (
        "gelu",
        [
            node("Div", "x root2", "a"),
            node("Erf", "a", "b"),
            node("Add", "b one", "c"),
            node("Mul", "x c", "d"),
            node("Mul", "d half", "y"),
        ],
    ),
    "GELU by tanh": (
        "gelu",
        [
            node("Pow", "x c3", "p"),
            node("Mul", "p cubic", "q"),
            node("Add", "x q", "r"),
            node("Mul", "r root", "s"),
            node("Tanh", "s", "t"),
            node("Add", "t one", "u"),
            node("Mul", "x half", "h"),
            node("Mul", "h u", "y"),
        ],
    ),
    "Mish": ("mish", [node("Softplus", "x", "a"), node("Tanh", "a", "b"), node("Mul", "x b", "y")]),
    "LayerNorm": ("layer_norm", [*NORM, node("Mul", "n scale", "g"), node("Add", "g shift", "y")]),
    "LayerNorm without parameters": ("layer_norm", [*NORM[:-1], node("Div", "d s", "y")]),
}


def operations(nodes: list[Any], **more: Any) -> list[str]:
    used = {name for one in nodes for name in one.input}
    constants = {name: value for name, value in {**C, **more}.items() if name in used}
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 4, 6])}, constants, opset=16)
    feeds = [{"x": RNG.uniform(-4, 4, (count, 4, 6)).astype(np.float32)} for count in (2, 3)]
    program = compared(content, feeds)
    return [operation_name(n) for n in program.graph.nodes if n.op == "call_function" and "sym_size" not in n.name]


@pytest.mark.parametrize("name", TAKEN_APART)
def test_a_function_is_one_operation_again(name: str) -> None:
    expected, nodes = TAKEN_APART[name]
    assert operations(nodes) == [expected]


@pytest.mark.parametrize("name", TAKEN_APART)
def test_parts_that_others_read_stay(name: str) -> None:
    _, nodes = TAKEN_APART[name]
    inner = nodes[0].output[0]
    assert len(operations([*nodes[:-1], _renamed(nodes[-1]), node("Add", f"last {inner}", "y")])) > 2


def _renamed(last: Any) -> Any:
    copy = type(last)()
    copy.CopyFrom(last)
    copy.output[0] = "last"
    return copy


def test_another_number_is_another_function() -> None:
    _, nodes = TAKEN_APART["hard-swish of Paddle"]
    assert operations(nodes, c3=number(2.5)) == ["add", "hardtanh", "mul", "div"]


def test_a_norm_over_another_axis_stays() -> None:
    nodes = [node("ReduceMean", "x", "m", axes=[1]), *NORM[1:-1], node("Div", "d s", "y")]
    assert "layer_norm" not in operations(nodes)


def test_a_group_norm_is_one_operation_again() -> None:
    constants = {
        **{"split": np.asarray([0, 2, -1]), "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32)},
        **{"back": np.asarray([0, 4, 6]), "g": SCALE[:4].reshape(4, 1), "b": SHIFT[:4].reshape(4, 1)},
    }
    nodes = [
        node("Reshape", "x split", "r"),
        node("InstanceNormalization", "r one zero", "i"),
        node("Reshape", "i back", "o"),
        node("Mul", "o g", "s"),
        node("Add", "s b", "y"),
    ]
    assert operations(nodes, **constants)[-1] == "group_norm"


@pytest.mark.parametrize("shape", [(4,), (1, 4), (4, 1)])
def test_a_constant_behind_a_layer_is_its_bias_where_it_has_one_number_for_each_channel(shape: tuple[int, ...]) -> None:
    weight, bias = RNG.standard_normal((6, 4)).astype(np.float32), RNG.standard_normal(shape).astype(np.float32)
    found = operations([node("MatMul", "x w", "h"), node("Add", "b h", "y")], w=weight, b=bias)
    assert found == (["linear"] if shape[-1] == 4 else ["linear", "add"])


def test_the_bias_of_a_convolution_as_an_addition() -> None:
    weight, bias = RNG.standard_normal((5, 4, 3)).astype(np.float32), RNG.standard_normal((1, 5, 1)).astype(np.float32)
    assert operations([node("Conv", "x w", "h"), node("Add", "h b", "y")], w=weight, b=bias) == ["conv1d"]
