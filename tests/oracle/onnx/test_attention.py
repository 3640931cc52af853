"""Attention and rotary positions, as operators of their own, against onnxruntime."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx_ir")
from onnx import ModelProto, helper

from qdiag.errors import QdiagError
from qdiag.onnx.load import load_network
from tests.networks.onnx_files import Array, node, onnx_bytes
from tests.oracle.onnx.against_onnxruntime import COUNTS, batch, compared

RNG = np.random.default_rng(0)
PLACES, HEADS, SIZE = 5, 4, 8


def f(*shape: int) -> Array:
    return RNG.uniform(-1.0, 1.0, shape).astype(np.float32)


def with_domain(content: bytes) -> bytes:
    model = ModelProto.FromString(content)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    done: bytes = model.SerializeToString()
    return done


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("turned", [0, 4])
@pytest.mark.parametrize("form", ["heads", "flat"])
@pytest.mark.parametrize("positions", ["", "constant", "data"])
def test_rotary_positions(positions: str, form: str, turned: int, interleaved: int) -> None:
    half = (turned or SIZE) // 2
    shape = [HEADS, PLACES, SIZE] if form == "heads" else [PLACES, HEADS * SIZE]
    inputs: dict[str, Any] = {"x": ("float32", ["N", *shape])}
    constants = {"c": f(9, half), "s": f(9, half)}
    if positions == "constant":
        constants["p"] = np.asarray([[0, 2, 1, 8, 5]], np.int64)
    elif positions:
        inputs["p"] = ("int64", ["N", PLACES])
    else:
        inputs |= dict.fromkeys("cs", ("float32", ["N", PLACES, half]))
        constants = {}
    attributes = {"interleaved": interleaved, "rotary_embedding_dim": turned}
    if form == "flat":
        attributes["num_heads"] = HEADS
    made = node("RotaryEmbedding", "x c s p" if positions else "x c s", "y", **attributes)
    content = onnx_bytes([made], inputs, constants, opset=23)

    def feed(count: int) -> dict[str, Array]:
        found = {"x": f(count, *shape)}
        if not positions:
            found |= {"c": f(count, PLACES, half), "s": f(count, PLACES, half)}
        if positions == "data":
            found["p"] = RNG.integers(0, 9, (count, PLACES))
        return found

    counts = (1,) if positions == "constant" else COUNTS
    compared(content, [feed(count) for count in counts], is_free=positions != "constant")


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("form", ["heads", "flat"])
@pytest.mark.parametrize("positions", ["offset", "data"])
def test_rotary_positions_of_onnxruntime(positions: str, form: str, interleaved: int) -> None:
    shape = [HEADS, PLACES, SIZE] if form == "heads" else [PLACES, HEADS * SIZE]
    inputs: dict[str, Any] = {"x": ("float32", ["N", *shape])}
    constants = {"c": f(9, SIZE // 2), "s": f(9, SIZE // 2)}
    if positions == "offset":
        constants["p"] = np.asarray([3], np.int64)
    else:
        inputs["p"] = ("int64", ["N", PLACES])
    made = node("RotaryEmbedding", "x p c s", "y", interleaved=interleaved, domain="com.microsoft")
    feeds = [{"x": f(count, *shape)} for count in COUNTS]
    if positions == "data":
        feeds = [one | {"p": RNG.integers(0, 9, (len(one["x"]), PLACES))} for one in feeds]
    compared(with_domain(onnx_bytes([made], inputs, constants)), feeds)


@pytest.mark.parametrize("form", ["heads", "flat"])
@pytest.mark.parametrize("mask", ["", "causal", "added", "forbidden"])
@pytest.mark.parametrize("groups", [1, 2])
def test_attention(groups: int, mask: str, form: str) -> None:
    keys, places = HEADS // groups, PLACES if mask == "causal" else 7
    shapes = {"q": (HEADS, PLACES, SIZE), "k": (keys, places, SIZE), "v": (keys, places, 6)}
    attributes: dict[str, Any] = {"is_causal": int(mask == "causal"), "scale": 0.3} if groups == 2 or mask else {}
    if form == "flat":
        shapes = {name: (b, a * c) for name, (a, b, c) in shapes.items()}
        attributes |= {"q_num_heads": HEADS, "kv_num_heads": keys}
    constants = {"m": f(PLACES, places)} if mask == "added" else {}
    if mask == "forbidden":
        constants["m"] = np.tril(np.ones((PLACES, places), bool), 1)
    made = node("Attention", "q k v m" if constants else "q k v", "y", **attributes)
    inputs = {name: ("float32", ["N", *shape]) for name, shape in shapes.items()}
    content = onnx_bytes([made], inputs, constants, opset=23)
    compared(content, [{name: f(count, *shape) for name, shape in shapes.items()} for count in COUNTS], 5e-6)


def test_attention_with_a_past() -> None:
    shape, past = (HEADS, PLACES, SIZE), (HEADS, 3, SIZE)
    made = node("Attention", "q k v - pk pv", "y nk nv", is_causal=1)
    shapes = {**dict.fromkeys("qkv", shape), "pk": past, "pv": past}
    inputs = {name: ("float32", ["N", *own]) for name, own in shapes.items()}
    content = onnx_bytes([made], inputs, {}, ["y", "nk", "nv"], opset=23)
    compared(content, [{name: f(count, *own) for name, own in shapes.items()} for count in COUNTS], 5e-6)


def test_limited_scores_are_refused() -> None:
    made = node("Attention", "q k v", "y", "attend", softcap=2.0)
    inputs = dict.fromkeys("qkv", ("float32", ["N", HEADS, PLACES, SIZE]))
    network = load_network(onnx_bytes([made], inputs, {}, opset=23), "net.onnx")
    with pytest.raises(QdiagError, match="softcap") as refused:
        network(**batch({name: f(2, HEADS, PLACES, SIZE) for name in "qkv"}).kwargs)
    assert refused.value.at == "attend"
