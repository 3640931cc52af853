"""Quantizers put into an ONNX file: its nodes stay as they are, and the file computes what the captured graph does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qdiag.batches import Batch, Datasets
from qdiag.config import load_preset
from qdiag.core.graph import Layer
from qdiag.core.scheme import QuantScheme
from qdiag.errors import CaptureError
from qdiag.exporters.onnx.insert import insert_qdq
from qdiag.exporters.onnx.write import QdqFile, write_qdq
from qdiag.loaders.data.sources import batches_from
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.deployed.plan import quantized_tensors
from qdiag.pipeline.export.formats import QDQ_ONNX
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from tests.networks.detectors import SIZE, onnx_detector
from tests.networks.onnx_files import node, onnx_bytes, small_cnn
from tests.processor import as_here

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network(opset: int = 17) -> bytes:
    """Every kind of weight, a clamp, what moves values, an activation, a second output inside the network."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return (0.3 * rng.standard_normal(shape)).astype(np.float32)

    constants = {
        "stem.weight": normal(6, 3, 3, 3),
        "stem.bias": normal(6),
        "dw.weight": normal(6, 1, 3, 3),
        "up.weight": normal(6, 4, 2, 2),
        "head.weight": normal(10, 5),
        "head.bias": normal(5),
        "last": normal(5, 3),
        "shift": normal(1, 6, 1, 1),
        "low": np.asarray(0.0, np.float32),
        "high": np.asarray(6.0, np.float32),
        "shape": np.asarray([0, -1], np.int64),
    }
    nodes = [
        node("Conv", "x stem.weight stem.bias", "a", "/stem/Conv", pads=[1, 1, 1, 1]),
        node("Clip", "a low high", "b", "/stem/Clip"),
        node("Conv", "b dw.weight", "c", "/dw/Conv", pads=[1, 1, 1, 1], group=6),
        node("Add", "c b", "d", "/Add"),
        node("Add", "d shift", "d2", "/shift/Add"),
        node("MaxPool", "d2", "m", "/MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
        node("ConvTranspose", "m up.weight", "u", "/up/ConvTranspose", strides=[2, 2]),
        node("Sigmoid", "u", "s", "/Sigmoid"),
        node("GlobalAveragePool", "d2", "g", "/pool"),
        node("GlobalAveragePool", "s", "g2", "/pool2"),
        node("Concat", "g g2", "k", "/Concat", axis=1),
        node("Reshape", "k shape", "f", "/flatten"),
        node("Gemm", "f head.weight head.bias", "h", "/head/Gemm"),
        node("Relu", "h", "hidden", "/head/Relu"),
        node("MatMul", "hidden last", "y", "/last/MatMul"),
    ]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 3, 8, 8])}, constants, ("y", "hidden"), opset)
    model = onnx.ModelProto.FromString(content)
    for output, width in zip(model.graph.output, (3, 5), strict=True):
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, 1, ["N", width]))
    return bytes(model.SerializeToString())


def opened(content: bytes, folder: Path, scheme: QuantScheme | None = None) -> Experiment:
    (folder / "net.onnx").write_bytes(content)
    data = batches_from([Batch((IMAGES,))])
    subject, datasets = load_subject(folder / "net.onnx"), Datasets(data, data, "the same")
    return begin(Session(), subject, datasets, scheme or load_preset("int8"))


def integers(file: QdqFile, *, is_optimized: bool = False) -> dict[str, Any]:
    deployed = OnnxruntimeNetwork(file.content, is_optimized=is_optimized)
    names = {layer: name for layer, name in file.integers.items() if name in deployed.tensors}
    found = deployed.run({"x": IMAGES.numpy()}, list(names.values())).integers
    return {layer: found[name] for layer, name in names.items()}


@pytest.mark.parametrize("scheme", ["int8", "tf-uint8", "tensorrt-int8"])
def test_the_file_computes_what_the_captured_graph_does(scheme: str, tmp_path: Path) -> None:
    case = opened(network(), tmp_path, load_preset(scheme)).case
    inserted = insert_qdq(network(), case.network, case.plan)
    captured = write_qdq(case.network, case.plan, Batch((IMAGES,)))
    ours, theirs = integers(inserted), integers(captured)
    assert set(ours) == set(theirs)
    for layer, values in ours.items():
        np.testing.assert_array_equal(values.reshape(-1), theirs[layer].reshape(-1), err_msg=layer)
    assert list(OnnxruntimeNetwork(inserted.content).outputs) == ["y", "hidden"]
    operations = OnnxruntimeNetwork(inserted.content).operations()
    assert operations.integer["QLinearConv"] == 2
    assert operations.integer["QGemm"] == 1
    if scheme != "tensorrt-int8":
        assert [(one.op, one.name) for one in operations.floating] == [("ConvTranspose", "/up/ConvTranspose")]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("is_read", [False, True], ids=["written", "read"])
def test_the_simulation_has_every_integer_of_the_file(is_read: bool, signed: bool, tmp_path: Path) -> None:
    """A constant for each channel, of shape (1, C, 1, 1), among them, under the plan and as the file is read."""
    int8 = load_preset("int8")
    scheme = as_here(replace(int8, arithmetic="ort", activations=replace(int8.activations, signed=signed)))
    case = opened(network(), tmp_path, scheme).case
    file = insert_qdq(network(), case.network, case.plan)
    if is_read:
        (tmp_path / "int8.onnx").write_bytes(file.content)
        deployed = load_subject(tmp_path / "int8.onnx")
        subject = load_subject(tmp_path / "net.onnx", kept=frozenset(quantized_tensors(deployed)))
        data = Datasets(case.measured, case.measured, "the same")
        changes = ["arithmetic=ort", f"pair_saturation={str(scheme.pair_saturation).lower()}"]
        case = begin(Session(), subject, data, scheme, quantized=deployed, changes=changes).case
    simulated: dict[str, Any] = {}

    class Integers(LayerObserver):
        def closed(self, layer: Layer, lanes: Any) -> None:
            quantizer: Any = case.plan.layers[layer.name].output
            if quantizer is not None:
                simulated[layer.name] = quantizer.quantize(lanes.tensors[SIMULATED]).numpy()

    LaneRunner(paired_lanes(case.network, case.plan), [Integers()]).run_batch(Batch((IMAGES,)))
    found = integers(file, is_optimized=True)
    assert {"/shift/Add"} <= set(found) <= set(simulated)
    for layer, values in found.items():
        np.testing.assert_array_equal(values, simulated[layer].reshape(values.shape), err_msg=layer)


def test_nothing_else_changes(tmp_path: Path) -> None:
    """Without quantizers the nodes are those of the file, in their order, and so are inputs, outputs and opset."""
    case = opened(network(), tmp_path).case
    old, new = onnx.ModelProto.FromString(network()), insert_qdq(network(), case.network, case.plan).content
    new = onnx.ModelProto.FromString(new)
    onnx.checker.check_model(new, full_check=True)
    kept = [one for one in new.graph.node if one.op_type not in ("QuantizeLinear", "DequantizeLinear")]
    for one, other in zip(old.graph.node, kept, strict=True):
        assert (one.name, one.op_type, list(one.attribute)) == (other.name, other.op_type, list(other.attribute))
    assert list(new.graph.input) == list(old.graph.input)
    assert [one.name for one in new.graph.output] == ["y", "hidden"]
    assert list(new.opset_import) == list(old.opset_import)
    assert not {"stem.weight", "head.weight", "last"} & {one.name for one in new.graph.initializer}
    assert {"low", "high", "shape"} <= {one.name for one in new.graph.initializer}


def test_a_layer_in_float_keeps_its_initializers(tmp_path: Path) -> None:
    scheme = replace(load_preset("int8"), float_layers=("/head/Gemm",))
    case = opened(network(), tmp_path, scheme).case
    file = insert_qdq(network(), case.network, case.plan)
    names = {one.name for one in onnx.ModelProto.FromString(file.content).graph.initializer}
    assert {"head.weight", "head.bias"} <= names
    floating = [(one.op, one.name) for one in OnnxruntimeNetwork(file.content).operations().floating]
    assert floating == [("ConvTranspose", "/up/ConvTranspose"), ("FusedGemm", "/head/Gemm")]


@pytest.mark.parametrize(
    ("content", "scheme", "reason"),
    [
        (small_cnn(), "int8", "a BatchNorm is folded into /stem/Conv"),
        (network(opset=12), "int8", "opset 12, and these quantizers need 13"),
        (network(), "x86-reduce-range", "do not fill their type"),
        (network(), "int16x8", "opset 17, and these quantizers need 21"),
    ],
)
def test_otherwise_the_captured_graph_is_written(content: bytes, scheme: str, reason: str, tmp_path: Path) -> None:
    experiment = opened(content, tmp_path, load_preset(scheme))
    with pytest.raises(CaptureError, match=reason):
        insert_qdq(content, experiment.case.network, experiment.case.plan)
    written = QDQ_ONNX.write(experiment.subject, experiment.case)
    assert written.graph == "captured"
    assert written.why_captured is not None
    assert reason in written.why_captured
    assert len(integers(QdqFile(written.content, written.integers))) > 3


def test_the_format_takes_the_file_where_it_can(tmp_path: Path) -> None:
    experiment = opened(network(), tmp_path)
    written = QDQ_ONNX.write(experiment.subject, experiment.case)
    assert (written.graph, written.why_captured) == ("file", None)


def test_constants_may_stand_in_nodes(tmp_path: Path) -> None:
    """As torch writes what a module computes with: no node is left that nothing reads."""
    model = onnx.ModelProto.FromString(network())
    made = [
        onnx.helper.make_node("Constant", [], [one.name], name=f"/{one.name}", value=one)
        for one in model.graph.initializer
    ]
    nodes = [*made, *model.graph.node]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    content = model.SerializeToString()
    case = opened(content, tmp_path).case
    found, expected = (integers(insert_qdq(one, case.network, case.plan)) for one in (content, network()))
    assert all(np.array_equal(found[layer], expected[layer]) for layer in expected)
    written = onnx.ModelProto.FromString(insert_qdq(content, case.network, case.plan).content).graph
    read = {name for one in written.node for name in one.input}
    kept = [one.output[0] for one in written.node if one.op_type == "Constant"]
    assert kept == ["low", "high", "shape"] and set(kept) <= read


def test_a_detector_keeps_its_end(tmp_path: Path) -> None:
    """What non-maximum suppression reads is quantized, and everything behind it is as it was."""
    source = onnx_detector("gathered")
    (tmp_path / "net.onnx").write_bytes(source)
    data = batches_from([Batch((torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)),))])
    subject = load_subject(tmp_path / "net.onnx")
    case = begin(Session(), subject, Datasets(data, data, "the same"), load_preset("int8")).case
    written = QDQ_ONNX.write(subject, case)
    assert (written.graph, written.why_captured) == ("file", None)
    before, after = (onnx.ModelProto.FromString(one).graph for one in (source, written.content))
    assert [one.name for one in after.output] == [one.name for one in before.output]
    ends = [{one.name: list(one.input) for one in graph.node} for graph in (before, after)]
    assert ends[1]["places"] == ends[0]["places"] and ends[1]["nms"][2:] == ends[0]["nms"][2:]
    makers = {name: one for one in after.node for name in one.output}
    assert [makers[name].op_type for name in ends[1]["nms"][:2]] == ["DequantizeLinear"] * 2
    run = ort.InferenceSession(written.content).run
    assert [value.shape[1:] for value in run(None, {"x": np.zeros((1, 3, SIZE, SIZE), np.float32)})[:2]] == [(4,), (3,)]


@pytest.mark.parametrize("in_nodes", [True, False])
def test_numbers_become_integers_beside_quantized_tensors(tmp_path: Path, in_nodes: bool) -> None:
    """Else onnxruntime adds and multiplies in float what the plan has in integers."""
    weight = np.random.default_rng(0).standard_normal((6, 3, 3, 3)).astype(np.float32)
    numbers = {"half": np.asarray(0.5, np.float32), "less": np.asarray(-3.0, np.float32)}
    nodes = [
        node("Conv", "x w", "a", "stem", pads=[1, 1, 1, 1]),
        node("Mul", "a half", "b", "scaled"),
        node("Add", "less b", "y", "moved"),
    ]
    if in_nodes:
        made = [node("Constant", "", name, value=onnx.numpy_helper.from_array(one)) for name, one in numbers.items()]
        nodes, numbers = [*made, *nodes], {}
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 3, 8, 8])}, {"w": weight, **numbers})
    case = opened(content, tmp_path).case
    inserted = insert_qdq(content, case.network, case.plan)
    operations = OnnxruntimeNetwork(inserted.content).operations()
    assert (dict(operations.integer), operations.floating) == ({"QLinearConv": 1, "QLinearMul": 1, "QLinearAdd": 1}, ())
    ours, theirs = integers(inserted), integers(write_qdq(case.network, case.plan, Batch((IMAGES,))))
    assert all(np.array_equal(ours[layer], theirs[layer]) for layer in theirs)
