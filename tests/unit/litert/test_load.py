"""LiteRT files as networks: names, orders of axes, what is refused, and why."""

import builtins
import re
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ai_edge_litert")
from qdiag.batches import Batch
from qdiag.capture.capture import capture
from qdiag.capture.layers import group_layers
from qdiag.errors import CaptureError, DataError, LoadError
from qdiag.litert.load import load_network
from qdiag.litert.model import LiteQuantization
from qdiag.litert.read import parse
from qdiag.litert.serialize import packages, serialized
from qdiag.loaders.models.formats import load_subject
from tests.networks.litert_files import lite_bytes, lite_graph, op, quantization, small_cnn

RNG = np.random.default_rng(0)
IMAGE = (1, 4, 5, 3)


def refused(*arguments: Any, **keywords: Any) -> str:
    with pytest.raises(LoadError) as caught:
        load_network(lite_bytes(*arguments, **keywords), "net.tflite")
    assert caught.value.at == "net.tflite"
    return str(caught.value.message)


def test_layers_and_parameters_keep_their_names(tmp_path: Path) -> None:
    path = tmp_path / "network.bin"  # told by content
    path.write_bytes(serialized(small_cnn()))
    subject = load_subject(path)
    assert subject.format == "litert" and subject.is_untrusted
    names = {"stem/w", "stem/b", "dw/w", "dw/b", "pw/w", "pw/b", "fc/w", "fc/b"}
    assert set(dict(subject.model.named_parameters())) == names
    program = capture(subject, Batch((torch.randn(2, 3, 8, 8),)))
    assert (program.route, program.batch_size, program.skipped) == ("litert", None, ())
    layers = group_layers(program).layers
    assert [layer.name for layer in layers] == ["input:x", "stem", "dw", "pw", "sum", "mean", "y"]
    assert [layer.clamp for layer in layers if layer.clamp] == [(0.0, 6.0), (0.0, float("inf"))]


def test_what_is_written_is_read() -> None:
    graph = small_cnn()
    found = parse(serialized(graph), "net.tflite")
    assert [t.name for t in found.tensors] == [t.name for t in graph.tensors]
    for wanted, tensor in zip(graph.tensors, found.tensors, strict=True):
        assert (tensor.shape, tensor.dtype, tensor.data is None) == (wanted.shape, wanted.dtype, wanted.data is None)
        assert wanted.data is None or np.array_equal(tensor.data, wanted.data)
    assert [(o.kind, o.inputs, o.outputs) for o in found.operators] == [
        (o.kind, o.inputs, o.outputs) for o in graph.operators
    ]
    assert all(found.operators[0].options[key] == value for key, value in graph.operators[0].options.items())


def test_images_are_taken_in_both_orders_and_no_other() -> None:
    network = load_network(serialized(small_cnn()), "net.tflite").eval()
    x = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(network(x), network(x.permute(0, 2, 3, 1)), rtol=0.0, atol=0.0)
    with pytest.raises(DataError, match=re.escape("(?, 3, 8, 8) or (?, 8, 8, 3), not (3, 4, 8, 8)")):
        network(torch.randn(3, 4, 8, 8))


def test_what_mixes_samples_is_read_for_one_sample() -> None:
    order = np.asarray([3, 0, 1, 2], np.int32)
    network = load_network(lite_bytes([op("TRANSPOSE", "x p", "y")], {"x": IMAGE, "p": order, "y": (3, 1, 4, 5)}), "n")
    assert network.batch_size == 1
    assert network.eval()(torch.zeros(1, 3, 4, 5)).shape == (3, 1, 4, 5)


def test_sizes_that_the_file_computes_are_those_that_it_declares() -> None:
    """The chain of operators that computes a shape is not needed, and need not be known."""
    network = load_network(
        lite_bytes(
            [op("SHAPE", "x", "s"), op("RESHAPE", "x s", "y")],
            {"x": (1, 6), "s": (3,), "y": (1, 2, 3)},
            dtypes={"s": np.int32},
        ),
        "n",
    )
    assert network.eval()(torch.zeros(4, 6)).shape == (4, 2, 3)


def test_all_operators_that_are_not_known_are_listed() -> None:
    message = refused(
        [op("SHAPE", "x", "a"), op("RANK", "x", "b"), op("SHAPE", "a", "y")],
        {"x": IMAGE, "a": (4,), "b": (), "y": (1,)},
        "y b",
    )
    assert message == "operators that are not read: RANK (b), SHAPE (a, y)"


@pytest.mark.parametrize(
    ("operator", "values", "message"),
    [
        (op("ADD", "x c", "y", fusedActivationFunction=5), {"c": np.ones(3, np.float32)}, "SIGN_BIT is not computed"),
        (op("SPLIT", "x x", "y"), {}, "input 1 .x. has to be a constant"),
        (op("MEAN", "x a", "y"), {"a": np.asarray([7], np.int32)}, "its axis 7 is none"),
    ],
)
def test_what_is_not_computed_is_said_with_the_tensor(operator: Any, values: dict[str, Any], message: str) -> None:
    said = refused([operator], {"x": IMAGE, **values, "y": (1, 8, 10, 3)})
    assert re.search(message, said) and "(y)" in said


def test_sizes_of_images_that_are_free_are_refused() -> None:
    graph = lite_graph([op("RELU", "x", "y")], {"x": IMAGE, "y": IMAGE})
    free = replace(graph.tensors[0], is_free=(True, True, False, False))
    with pytest.raises(LoadError, match="the sizes of the input x are free"):
        load_network(serialized(replace(graph, tensors=(free, graph.tensors[1]))), "net.tflite")


def test_weights_in_integers_are_the_numbers_that_they_stand_for() -> None:
    integers = RNG.integers(-127, 128, (4, 3)).astype(np.int8)
    scales = np.asarray([0.5, 0.25, 2.0, 1.0], np.float32)
    stored: dict[str, LiteQuantization] = {"w": quantization(scales, 0, 0)}
    content = lite_bytes(
        [op("FULLY_CONNECTED", "x w -", "y")], {"x": (1, 3), "w": integers, "y": (1, 4)}, quantized=stored
    )
    network = load_network(content, "n").eval()
    x = RNG.standard_normal((5, 3)).astype(np.float32)
    wanted = x @ (integers * scales[:, None]).T
    np.testing.assert_allclose(network(torch.from_numpy(x)).numpy(), wanted, rtol=1e-6, atol=1e-4)


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    content, original = serialized(small_cnn()), builtins.__import__

    def absent(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.startswith("ai_edge_litert"):
            raise ImportError("no module", name="ai_edge_litert")
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(LoadError, match="needs the package ai_edge_litert") as caught:
        load_network(content, "net.tflite")
    assert caught.value.hint == "pip install 'qdiag[litert]'"


@pytest.mark.parametrize("cut", [9, 40, 200, 1200])
def test_a_file_cut_short_is_an_error(cut: int) -> None:
    with pytest.raises(LoadError):
        load_network(serialized(small_cnn())[:cut], "net.tflite")


def test_an_input_of_a_damaged_shape_is_not_made_up() -> None:
    """12 GiB of zeros, which one flipped bit asks for."""
    content = lite_bytes([op("RELU", "x", "y")], {"x": (1, 1 << 28, 6, 2), "y": (1, 1 << 28, 6, 2)})
    network = load_network(content, "net.tflite")
    with pytest.raises(DataError, match="more than is made up"):
        network.zeros(8)
    with pytest.raises(CaptureError, match="more than is made up"):
        network.for_its_own_shape()


def changed(change: Callable[[Any, Any], None]) -> bytes:
    """The small network, changed as an object of the schema."""
    schema, builder = packages()
    model = schema.ModelT.InitFromPackedBuf(serialized(small_cnn()))
    change(schema, model)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def two_entrances(schema: Any, model: Any) -> None:
    model.subgraphs.append(schema.SubGraphT.InitFromObj(schema.SubGraph.GetRootAs(_packed(model.subgraphs[0]))))
    second = copy(model.signatureDefs[0])
    second.signatureKey, second.subgraphIndex = "train", 1
    model.signatureDefs.append(second)


def _packed(table: Any) -> bytes:
    _, builder = packages()
    builder.Finish(table.Pack(builder))
    return bytes(builder.Output())


def sparse(schema: Any, model: Any) -> None:
    model.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (two_entrances, "the file holds several networks: serving_default, train", "a file of its own"),
        (sparse, "the tensor stem/w is stored sparsely", "dense weights"),
    ],
)
def test_what_is_not_read_says_what_to_do(change: Callable[[Any, Any], None], message: str, hint: str) -> None:
    with pytest.raises(LoadError) as caught:
        load_network(changed(change), "net.tflite")
    assert caught.value.at == "net.tflite"
    assert message in caught.value.message and hint in str(caught.value.hint)


def test_two_entrances_to_one_network_are_read() -> None:
    def named_twice(schema: Any, model: Any) -> None:
        del schema
        second = copy(model.signatureDefs[0])
        second.signatureKey = "predict"
        model.signatureDefs.append(second)

    x = torch.randn(2, 3, 8, 8)
    one, two = (
        load_network(content, "net.tflite").eval() for content in (changed(named_twice), serialized(small_cnn()))
    )
    assert torch.equal(one(x), two(x))


@pytest.mark.parametrize("kind", ["IF", "WHILE", "CALL_ONCE"])
def test_control_flow_is_refused_by_the_tensor_that_it_gives(kind: str) -> None:
    with pytest.raises(LoadError) as caught:
        load_network(lite_bytes([op(kind, "x", "y")], {"x": (1, 4), "y": (1, 4)}), "net.tflite")
    assert caught.value.message == f"operators that are not read: {kind} (y)"
    assert "branches and loops are not measured" in str(caught.value.hint)
