"""Detectors whose files end in non-maximum suppression: the part before it, against the tensors of onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
import onnx
import onnxruntime as ort

from qdiag.core.measures.measurement import LeftOut
from qdiag.errors import LoadError
from qdiag.onnx.load import load_network
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork
from tests.networks.detectors import CELLS, CLASSES, SIZE, End, onnx_detector
from tests.networks.onnx_files import Array, node, onnx_bytes
from tests.networks.quantized_files import quantized
from tests.oracle.onnx.against_onnxruntime import COUNTS, compared

RNG = np.random.default_rng(0)
ENDS: tuple[End, ...] = ("indices", "gathered", "sorted", "tensorrt", "filtered")
OUTPUTS = {end: ["boxes", "scores"] for end in ENDS} | {"sorted": ["boxes", "scores_last"]}
"""Where both orders of the axes are read, the tensor that the other one is made of."""


def images(count: int) -> Array:
    return RNG.standard_normal((count, 3, SIZE, SIZE)).astype(np.float32)


CALIBRATION = images(8)


def tensors(content: bytes, names: list[str], x: Array) -> list[Array]:
    """What onnxruntime has under these names, in the file as it is; without the plugin, which it does not have."""
    model = onnx.load_from_string(content)
    kept = [one for one in model.graph.node if one.domain != "TRT"]
    outputs = [one for one in model.graph.output if any(one.name in made.output for made in kept)]
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(kept)
    model.graph.output.extend(outputs)
    known = {one.name for one in outputs}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    found: list[Array] = ort.InferenceSession(model.SerializeToString(), options).run(names, {"x": x})
    return found


@pytest.mark.parametrize("end", ENDS)
def test_the_outputs_are_what_is_read_where_the_file_is_cut(end: End) -> None:
    content = onnx_detector(end)
    x = images(3)
    with torch.no_grad():
        found = load_network(content, "net.onnx").eval()(torch.from_numpy(x))
    assert list(found) == OUTPUTS[end]
    for own, expected in zip(found.values(), tensors(content, OUTPUTS[end], x), strict=True):
        np.testing.assert_allclose(own.numpy(), expected, rtol=0.0, atol=2e-6 * np.abs(expected).max())


def test_the_graph_holds_for_any_number_of_samples() -> None:
    """It is that of a file without the end, which onnxruntime runs as it is."""
    compared(onnx_detector("none"), [{"x": images(count)} for count in COUNTS])
    whole, part = (load_network(onnx_detector(end), "net.onnx").eval() for end in ("none", "gathered"))
    x = torch.from_numpy(images(5))
    assert all(torch.equal(whole(x)[name], part(x)[name]) for name in ("boxes", "scores"))


def test_everything_behind_is_named_and_what_it_begins_with() -> None:
    assert load_network(onnx_detector("none"), "net.onnx").left_out == ()
    assert load_network(onnx_detector("gathered"), "net.onnx").left_out == (
        LeftOut("NonMaxSuppression", "nms", is_first=True),
        LeftOut("Gather", "places", is_first=False),
        LeftOut("Gather", "found_boxes", is_first=False),
    )
    (plugin,) = load_network(onnx_detector("tensorrt"), "net.onnx").left_out
    assert plugin == LeftOut("TRT.EfficientNMS_TRT", "nms", is_first=True)


def test_an_output_of_the_file_before_the_cut_stays() -> None:
    model = onnx.load_from_string(onnx_detector("indices"))
    model.graph.output.extend([onnx.ValueInfoProto(name="l2")])
    found = load_network(model.SerializeToString(), "net.onnx").eval()(torch.from_numpy(images(2)))
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "l2": (2, CLASSES, CELLS),
        "boxes": (2, CELLS, 4),
        "scores": (2, CLASSES, CELLS),
    }


def test_a_suppression_inside_of_a_branch() -> None:
    """Exporters write one branch for images without a box: what it reads of the graph around it is read there."""
    model = onnx.load_from_string(onnx_detector("indices"))
    suppression = model.graph.node.pop()
    branches = {
        "then_branch": onnx.helper.make_graph([suppression], "some", [], [onnx.ValueInfoProto(name="selected")]),
        "else_branch": onnx.helper.make_graph(
            [node("Constant", "", "nothing", value=onnx.numpy_helper.from_array(np.zeros((0, 3), np.int64)))],
            "none",
            [],
            [onnx.ValueInfoProto(name="nothing")],
        ),
    }
    model.graph.node.extend(
        [
            node("ReduceMax", "scores", "best", "best", keepdims=0),
            node("Greater", "best least", "some", "some"),
            node("If", "some", "selected", "if", **branches),
        ]
    )
    content = model.SerializeToString()
    network = load_network(content, "net.onnx")
    assert [(one.kind, one.is_first) for one in network.left_out] == [("If", True)]
    assert list(network(torch.from_numpy(images(1)))) == ["boxes", "scores"]
    found = OnnxruntimeNetwork(content).run({"x": images(1)}).outputs
    assert {name: value.shape for name, value in found.items()} == {
        "boxes": (1, CELLS, 4),
        "scores": (1, CLASSES, CELLS),
    }


def test_a_suppression_inside_of_a_function() -> None:
    """Functions that a file defines itself are replaced by their bodies, here and in the runtime."""
    model = onnx.load_from_string(onnx_detector("indices"))
    suppression = model.graph.node.pop()
    names = list(suppression.input)
    opsets = [onnx.helper.make_opsetid("", 17)]
    function = onnx.helper.make_function("own", "Chosen", names, ["selected"], [suppression], opsets)
    model.functions.append(function)
    model.opset_import.append(onnx.helper.make_opsetid("own", 1))
    model.graph.node.append(node("Chosen", " ".join(names), "selected", "chosen", domain="own"))
    content, x = model.SerializeToString(), images(2)
    found = load_network(content, "net.onnx").eval()(torch.from_numpy(x))
    outputs = OnnxruntimeNetwork(content).run({"x": x}).outputs
    assert list(found) == list(outputs) == ["boxes", "scores"]
    for own, expected in zip(found.values(), outputs.values(), strict=True):
        np.testing.assert_allclose(own.numpy(), expected, rtol=0.0, atol=1e-5)


def test_layers_behind_the_cut_are_refused_by_name() -> None:
    with pytest.raises(LoadError, match=r"behind NonMaxSuppression \(nms\): MatMul \(refine\)") as caught:
        load_network(onnx_detector("refined"), "net.onnx")
    assert caught.value.at == "net.onnx" and "extract_model" in str(caught.value.hint)


def test_a_file_that_is_nothing_but_the_end_is_refused() -> None:
    nodes = [node("Transpose", "s", "scores", perm=[0, 2, 1]), node("NonMaxSuppression", "boxes scores", "y", "nms")]
    inputs = {"boxes": ("float32", [1, CELLS, 4]), "s": ("float32", [1, CELLS, CLASSES])}
    with pytest.raises(LoadError, match=r"nothing is left before NonMaxSuppression \(nms\)") as caught:
        load_network(onnx_bytes(nodes, inputs), "net.onnx")
    assert caught.value.at == "net.onnx" and "results" in str(caught.value.hint)


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """By end of the file, what `quantize_static` makes of it."""
    folder = tmp_path_factory.mktemp("quantized")
    return {end: _quantized(end, folder / end) for end in ("none", "gathered", "sorted")}


def _quantized(end: Any, folder: Path) -> bytes:
    folder.mkdir()
    return quantized(onnx_detector(end), CALIBRATION, folder)


@pytest.mark.parametrize("end", ["gathered", "sorted"])
def test_a_quantized_file_is_cut_at_the_same_tensors(integers: dict[str, bytes], end: End) -> None:
    """They have the names of the float file, and the runtime gives them in the same order."""
    network = load_network(integers[end], "int8.onnx")
    names = OUTPUTS[end]
    assert network.integers is not None and set(names) <= set(network.integers.outputs)
    assert list(network(torch.from_numpy(images(2)))) == names
    runtime = OnnxruntimeNetwork(integers[end], is_optimized=False)
    x = images(2)
    found = list(runtime.run({"x": x}).outputs.values())
    for own, expected in zip(found, tensors(integers[end], list(runtime.outputs), x), strict=True):
        assert np.array_equal(own, expected)
    assert [one.ndim for one in found] == [3, 3] and found[0].shape == (2, CELLS, 4)


def test_the_runtime_computes_the_same_integers_with_the_end_and_without(integers: dict[str, bytes]) -> None:
    x = images(4)
    whole, part = (
        list(OnnxruntimeNetwork(integers[end]).run({"x": x}).outputs.values()) for end in ("none", "gathered")
    )
    assert all(np.array_equal(*pair) for pair in zip(whole, part, strict=True))
    operations = OnnxruntimeNetwork(integers["gathered"]).operations()
    assert {one.op for one in operations.floating}.isdisjoint({"NonMaxSuppression", "Gather"})


def test_a_damaged_file_whose_nodes_read_each_other_ends() -> None:
    """No order of its nodes computes it, and no search goes round."""
    nodes = [
        node("Reshape", "b x", "a"),
        node("Reshape", "a x", "b"),
        node("NonMaxSuppression", "a b", "y", "nms"),
    ]
    with pytest.raises(LoadError):
        load_network(onnx_bytes(nodes, {"x": ("float32", [1, CELLS, 4])}), "net.onnx")


def test_a_sample_is_not_taken_out_of_its_axis() -> None:
    """Exporters that saw one sample write `boxes[0]`: the output has all of them."""
    model = onnx.load_from_string(onnx_detector("indices"))
    suppression = model.graph.node.pop()
    model.graph.node.extend(
        [
            node("Gather", "boxes first", "image", "image", axis=0),
            node("Unsqueeze", "image axis", "images", "images"),
            node("NonMaxSuppression", "images scores most iou least", "selected", "nms"),
        ]
    )
    assert suppression.op_type == "NonMaxSuppression"
    for name, value in (("first", np.asarray(0, np.int64)), ("axis", np.asarray([0], np.int64))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    found = load_network(model.SerializeToString(), "net.onnx").eval()(torch.from_numpy(images(3)))
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "boxes": (3, CELLS, 4),
        "scores": (3, CLASSES, CELLS),
    }
