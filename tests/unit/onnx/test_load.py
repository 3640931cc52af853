"""ONNX files as networks: names, what is refused, and why."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

pytest.importorskip("onnx_ir")
from qdiag.batches import Batch
from qdiag.capture.capture import capture
from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.layers import group_layers
from qdiag.errors import CaptureError, DataError, LoadError
from qdiag.loaders.models.formats import load_subject
from qdiag.onnx.load import load_network
from tests.networks.onnx_files import node, onnx_bytes, small_cnn

X = {"x": ("float32", ["N", 3])}


def refused(nodes: list[Any], **more: Any) -> LoadError:
    with pytest.raises(LoadError) as caught:
        load_network(onnx_bytes(nodes, X, **more), "net.onnx")
    return caught.value


def test_layers_and_parameters_keep_their_names(tmp_path: Path) -> None:
    path = tmp_path / "network.bin"  # told by content
    path.write_bytes(small_cnn())
    subject = load_subject(path)
    assert subject.format == "onnx" and subject.is_untrusted
    parameters = dict(subject.model.named_parameters())
    assert set(parameters) == {
        *("stem.weight", "bn.weight", "bn.bias", "block.weight", "block.bias", "head.weight", "head.bias"),
    }
    assert set(dict(subject.model.named_buffers())) == {"bn.running_mean", "bn.running_var"}
    program = capture(subject, Batch((torch.randn(2, 3, 8, 8),)))
    assert (program.route, program.batch_size, program.skipped) == ("onnx", None, ())
    assert program.output_names == ("y",)
    folded = fold_batchnorms(program)
    assert [f.norm for f in folded.folded] == ["/bn"]
    layers = group_layers(folded.program).layers
    assert [layer.name for layer in layers] == [
        "input:x",
        "/stem/Conv",
        "/block/Conv",
        "/block/Add",
        "/pool",
        "/head/Gemm",
    ]
    assert [layer.weight_name for layer in layers if layer.weight] == ["stem.weight", "block.weight", "head.weight"]
    assert [layer.clamp for layer in layers if layer.clamp] == [(0.0, 6.0), (0.0, float("inf"))]


def test_a_part_is_cut_out_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(small_cnn())
    with pytest.raises(LoadError, match="no modules"):
        load_subject(tmp_path / "net.onnx", submodule="block")


def test_one_error_lists_every_operator_that_is_missing() -> None:
    inner = onnx_bytes_graph([node("NonZero", "h", "nz", "deep")])
    error = refused(
        [
            node("Relu", "x", "h", "relu"),
            node("NonZero", "h", "n", "first"),
            node("NonZero", "h", "m", "second"),
            node("Foo", "h", "f", "mine", domain="com.acme"),
            node("If", "c", "z", "choice", then_branch=inner, else_branch=inner),
        ],
        outputs=("f",),
        constants={"c": np.asarray(True)},
    )
    assert error.message == "operators that are not read: NonZero (first, second, deep, deep), com.acme.Foo (mine)"
    assert error.at == "net.onnx" and "extract_model" in str(error.hint)


@pytest.mark.parametrize("op", ["Loop", "Scan"])
def test_a_loop_is_refused_by_the_names_of_its_node_and_of_what_it_runs(op: str) -> None:
    """What stands in its body is named as well, where that is not read either."""
    keep = [] if op == "Scan" else [node("Identity", "go", "still")]
    state = ["i", "go", "s"] if op == "Loop" else ["s", "row"]
    nodes = [node("Foo", "s", "more", "inside", domain="com.acme"), *keep]
    body = onnx.helper.make_graph(
        nodes, "body", [onnx.helper.make_empty_tensor_value_info(name) for name in state],
        [onnx.helper.make_empty_tensor_value_info(name) for name in (["still", "more"] if keep else ["more"])],
    )  # fmt: skip
    more = {"num_scan_inputs": 1} if op == "Scan" else {}
    inputs = "count go h" if op == "Loop" else "h x"
    constants = {"count": np.asarray(3), "go": np.asarray(True)}
    nodes = [node("Relu", "x", "h", "relu"), node(op, inputs, "y", "/decoder/loop", body=body, **more)]
    error = refused(nodes, constants=constants)
    assert error.message == f"operators that are not read: {op} (/decoder/loop), com.acme.Foo (inside)"
    assert error.at == "net.onnx" and "cut the network before them at h, " in str(error.hint)


def onnx_bytes_graph(nodes: list[Any]) -> Any:
    return onnx.ModelProto.FromString(onnx_bytes(nodes, {}, outputs=("nz",))).graph


def test_a_network_that_is_quantized_while_it_runs_is_refused() -> None:
    nodes = [node("DynamicQuantizeLinear", "x", "q s z", "dynamic"), node("DequantizeLinear", "q s z", "y", "back")]
    error = refused(nodes)
    assert error.message == "this network is quantized while it runs: dynamic is a DynamicQuantizeLinear"
    assert error.at == "net.onnx" and "quantize_static" in str(error.hint)


@pytest.mark.parametrize("opset", [6, 26])
def test_other_opsets_are_refused(opset: int) -> None:
    assert f"opset {opset}" in refused([node("Relu", "x", "y")], opset=opset).message


def test_a_network_without_inputs_or_layers_is_refused() -> None:
    with pytest.raises(LoadError, match="no input"):
        load_network(onnx_bytes([node("Relu", "c", "y")], {}, {"c": np.ones(3, np.float32)}), "net.onnx")
    with pytest.raises(LoadError, match="computes nothing"):
        load_network(onnx_bytes([node("Relu", "x", "y")], X, {"c": np.ones(3, np.float32)}, ("c",)), "net.onnx")


def test_half_precision_is_computed_in_float32() -> None:
    weight = np.eye(3, dtype=np.float16)
    nodes = [node("Cast", "x", "h", to=10), node("MatMul", "h w", "m"), node("Cast", "m", "y", to=1)]
    network = load_network(onnx_bytes(nodes, X, {"w": weight}), "net.onnx")
    x = torch.randn(2, 3)
    assert torch.equal(network(x), x)
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_names_that_a_module_cannot_have() -> None:
    weights = {
        name: np.full((3, 3), n + 1.0, np.float32) for n, name in enumerate(("a", "a.b", "train", "c..d", "a/b"))
    }
    nodes, value = [], "x"
    for n, name in enumerate(weights):
        nodes.append(node("MatMul", f"{value} {name}", f"h{n}"))
        value = f"h{n}"
    network = load_network(onnx_bytes(nodes, X, weights, [value]), "net.onnx")
    x = torch.ones(1, 3)
    assert float(network(x)[0, 0]) == 3.0**5 * 120.0
    assert len(list(network.parameters())) == 5
    assert {"a/b", "c._.d"} <= set(dict(network.named_parameters()))


def test_inputs_of_another_shape_or_name_are_refused() -> None:
    network = load_network(onnx_bytes([node("Relu", "x", "y")], {"x": ("float32", ["N", 3, 8, 8])}), "net.onnx")
    with pytest.raises(DataError, match=r"takes x of shape \(\?, 3, 8, 8\), not \(2, 3, 9, 8\)"):
        network(torch.zeros(2, 3, 9, 8))
    with pytest.raises(DataError, match="image is none of them"):
        network(image=torch.zeros(2, 3, 8, 8))


def test_a_shape_that_depends_on_values_names_its_node() -> None:
    inputs = {"x": ("float32", ["N", 3]), "k": ("int64", [1])}
    network = load_network(onnx_bytes([node("Reshape", "x k", "y", "cut")], inputs), "net.onnx")
    with pytest.raises(CaptureError, match="depends on the data") as caught:
        network(torch.zeros(2, 3), torch.tensor([6]))
    assert caught.value.at == "cut"


def test_one_batch_size_where_the_file_says_so() -> None:
    inputs = {"x": ("float32", [1, 3])}
    network = load_network(onnx_bytes([node("Relu", "x", "y")], inputs), "net.onnx")
    assert network.batch_size == 1
    from qdiag.subject import Subject

    program = capture(Subject(network, "onnx", "net.onnx", "ONNX"), Batch((torch.zeros(1, 3),)))
    assert (program.route, program.batch_size, program.skipped) == ("onnx, static batch", 1, ())


def with_external(folder: Path, location: str) -> Path:
    """A file whose matrix stands in another one."""
    import onnx

    model = onnx.ModelProto.FromString(
        onnx_bytes([node("MatMul", "x w", "y")], X, {"w": np.arange(9, dtype=np.float32).reshape(3, 3)})
    )
    (tensor,) = model.graph.initializer
    (folder / "weights.bin").write_bytes(b"pad!" + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "4"), ("length", "36")):
        tensor.external_data.add(key=key, value=value)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_tensors_in_a_file_beside_it(tmp_path: Path) -> None:
    path = with_external(tmp_path, "weights.bin")
    weight = dict(load_subject(path).model.named_parameters())["w"]
    assert torch.equal(weight, torch.arange(9.0).reshape(3, 3).T)
    (tmp_path / "weights.bin").write_bytes(bytes(39))
    with pytest.raises(LoadError, match="is too short"):
        load_subject(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(LoadError, match="there is no such file") as caught:
        load_subject(path)
    assert caught.value.at == str(path)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "link.bin", ""])
def test_tensors_in_another_folder_are_not_read(tmp_path: Path, location: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(99))
    (tmp_path / "in" / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(LoadError, match="outside of its folder"):
        load_subject(with_external(tmp_path / "in", location))


def test_batchnorms_of_a_file_by_its_graph(tmp_path: Path) -> None:
    from qdiag.pipeline.bn_audit import find_norms

    path = tmp_path / "net.onnx"
    path.write_bytes(small_cnn())
    (site,) = find_norms(load_subject(path)).sites
    assert (site.norm.name, site.layer is not None) == ("/bn", True)


def test_where_to_cut_before_what_depends_on_data(tmp_path: Path) -> None:
    """The tensors that are named are outputs of a network that is read, in the way that is named."""
    from onnx.utils import extract_model

    constants = {name: np.asarray([value], np.int64) for name, value in (("two", 2), ("one", 1), ("end", 9))}
    constants |= {"w": np.ones((3, 6), np.float32), "shape": np.asarray([1, -1, 4]), "most": np.asarray([3], np.int64)}
    nodes = [
        node("MatMul", "x w", "h", "head"),
        node("Concat", "h h", "hh", "both", axis=1),
        node("Reshape", "hh shape", "boxes", "boxes"),
        node("Sigmoid", "h", "s", "score"),
        node("Unsqueeze", "s one", "scores", "scores"),
        node("Scan", "boxes scores most", "kept", "choice"),
        node("Gather", "boxes kept", "y", "chosen"),
    ]
    error = refused(nodes, constants=constants)
    assert "Scan (choice)" in error.message
    assert "cut the network before them at boxes, scores, for example with onnx.utils.extract_model" in str(error.hint)
    (tmp_path / "net.onnx").write_bytes(onnx_bytes(nodes, X, constants=constants))
    extract_model(tmp_path / "net.onnx", tmp_path / "cut.onnx", ["x"], ["boxes", "scores"], check_model=False)
    found = load_network((tmp_path / "cut.onnx").read_bytes(), "cut.onnx")(torch.zeros(1, 3))
    assert found["boxes"].shape == (1, 3, 4) and found["scores"].shape == (1, 1, 6)
