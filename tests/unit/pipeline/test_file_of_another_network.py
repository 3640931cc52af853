"""A quantized file beside the network that it was made from, changed on the way or not, and beside another one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")

import onnx

from qdiag.errors import ConfigError, DataError
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.deployed.likeness import positive_share
from qdiag.pipeline.deployed.plan import quantized_tensors
from qdiag.pipeline.preparation.given import datasets_of, scheme_of
from qdiag.reading.words.deployed.file import deployed_lines
from qdiag.simulate.session import Session
from tests.networks.onnx_files import Array
from tests.networks.quantized_files import constants_of, float_cnn, quantized, renamed, with_constants

X = np.random.default_rng(1).standard_normal((8, 3, 8, 8)).astype(np.float32)


def opened(folder: Path, file: bytes, network: bytes | None = None, x: Array = X) -> Experiment:
    (folder / "net.onnx").write_bytes(float_cnn() if network is None else network)
    (folder / "int8.onnx").write_bytes(file)
    other = load_subject(folder / "int8.onnx")
    subject = load_subject(folder / "net.onnx", kept=frozenset(quantized_tensors(other)))
    return begin(Session(), subject, datasets_of(torch.from_numpy(x), None), scheme_of("int8"), quantized=other)


def changed(**weights: Array) -> bytes:
    return with_constants(float_cnn(), {f"{name}.weight": value for name, value in weights.items()})


def weight(name: str) -> Array:
    return constants_of(float_cnn())[f"{name}.weight"]


def normal(like: Array, seed: int = 5) -> Array:
    return (np.random.default_rng(seed).standard_normal(like.shape) * like.std()).astype(np.float32)


def equalized() -> bytes:
    """Channels between the first two layers 1/20 to 20 times as large: the SQNR of both weights is below zero."""
    factors = np.geomspace(0.05, 20.0, 8).astype(np.float32)
    block = weight("block") / factors.reshape(1, 8, 1, 1)
    return changed(stem=weight("stem") * factors.reshape(8, 1, 1, 1), block=block)


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    """Every layer has its name and its shape there, and the weights have nothing to do with one another."""
    with pytest.raises(ConfigError, match="was not made from this network") as refusal:
        opened(tmp_path, quantized(float_cnn(seed=3), X, tmp_path))
    assert "of its 3 layers with weights 3 were found, 3 of them by name, and 0 have weights" in refusal.value.message
    assert refusal.value.hint == "give the float network that the file was made from"
    with pytest.raises(ConfigError, match="0 of them by name, and 0 have weights"):
        opened(tmp_path, renamed(quantized(float_cnn(seed=3), X, tmp_path)))


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(float_cnn, id="as it is"),
        pytest.param(equalized, id="equalized"),
        pytest.param(
            lambda: changed(**{name: weight(name) + 0.5 * normal(weight(name)) for name in ("stem", "block", "head")}),
            id="fine-tuned",
        ),
        pytest.param(lambda: changed(stem=2.0 * weight("stem")), id="rescaled"),
    ],
)
def test_weights_that_were_changed_on_the_way_are_its_own(tmp_path: Path, made: object) -> None:
    assert callable(made)
    found = opened(tmp_path, quantized(made(), X, tmp_path)).deployed
    assert found is not None
    assert (found.file.other_weights, found.file.only_float) == ((), ())
    assert (found.file.by_weights, found.file.by_place) == (0, 0)


def test_a_layer_that_was_replaced_is_named(tmp_path: Path) -> None:
    found = opened(tmp_path, quantized(changed(head=normal(weight("head"))), X, tmp_path)).deployed
    assert found is not None and found.file.other_weights == ("head",)
    told = "these weights do not come from those of the network: head"
    assert told in deployed_lines(found.file)


def test_how_layers_were_found_is_told(tmp_path: Path) -> None:
    found = opened(tmp_path, renamed(quantized(float_cnn(), X, tmp_path))).deployed
    assert found is not None and found.file.by_weights == 3 and found.file.by_place > 0
    assert "3 by their weights and" in " ".join(deployed_lines(found.file))


def test_the_share_of_positive_products() -> None:
    """Against a sum by hand; zeros say nothing."""
    one, other = torch.tensor([1.0, -2.0, 3.0, 4.0]), torch.tensor([2.0, -1.0, -1.0, 0.0])
    assert positive_share(one, other) == pytest.approx(4.0 / 7.0)
    assert np.isnan(positive_share(one, torch.zeros(4)))
    assert positive_share(one, one * torch.tensor([0.1, 20.0, 3.0, 1.0])) == 1.0


def _line(*nodes: Any, size: int = 4, **constants: Array) -> bytes:
    """A network from `x` to `y`."""
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", size]) for name in "xy"]
    stored = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = onnx.helper.make_graph(list(nodes), "line", ends[:1], ends[1:], stored)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_a_bias_that_the_file_has_in_its_layer_is_no_layer_of_the_float_network(tmp_path: Path) -> None:
    """Files of layers may give the whole layer the name that the product alone has in the float network."""
    rng, node = np.random.default_rng(2), onnx.helper.make_node
    matrix, bias = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, 4), (4,)))
    apart = _line(
        *(
            node("MatMul", ["x", "w"], ["m"], "m"),
            node("Add", ["m", "b"], ["a"], "a"),
            node("Sigmoid", ["a"], ["y"], "y"),
        ),
        w=matrix,
        b=bias,
    )
    scales = {"s": np.float32(0.05), "z": np.int8(0), "sb": np.float32(0.001), "zb": np.int32(0)}
    one = _line(
        *(node("QuantizeLinear", ["x", "s", "z"], ["xq"]), node("DequantizeLinear", ["xq", "s", "z"], ["xd"])),
        node("DequantizeLinear", ["wq", "s", "z"], ["w"]),
        node("DequantizeLinear", ["bq", "sb", "zb"], ["b"]),
        node("Gemm", ["xd", "w", "b"], ["m"], "m"),
        *(node("QuantizeLinear", ["m", "s", "z"], ["mq"]), node("DequantizeLinear", ["mq", "s", "z"], ["md"])),
        node("Sigmoid", ["md"], ["y"], "y"),
        wq=np.round(matrix / 0.05).astype(np.int8),
        bq=np.round(bias / 0.001).astype(np.int32),
        **{name: np.asarray(value) for name, value in scales.items()},
    )
    (tmp_path / "int8.onnx").write_bytes(one)
    assert load_subject(tmp_path / "int8.onnx").model.biased == {"m"}
    found = opened(tmp_path, one, apart, rng.standard_normal((8, 4)).astype(np.float32))
    assert found.deployed is not None and set(found.deployed.file.only_float) <= {"y"}
    assert [layer.name for layer in found.case.network.graph.layers] == ["input:x", "m", "y"]


def test_a_file_that_does_not_take_the_data_of_the_network_is_told(tmp_path: Path) -> None:
    """The data are not to blame; where the network does not take them either, they are."""
    product = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    wide, narrow = (_line(product, size=size, w=np.eye(size, dtype=np.float32)) for size in (8, 4))
    file = quantized(narrow, X[:, 0, 0, :4], tmp_path)
    with pytest.raises(
        ConfigError, match="takes the data, and the quantized file does not: the network takes x of shape"
    ):
        opened(tmp_path, file, wide, X[:, 0, 0])
    with pytest.raises(DataError, match="the network takes x of shape"):
        opened(tmp_path, file, narrow, X[:, 0, 0])
