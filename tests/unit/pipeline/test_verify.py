"""`qdiag verify` on networks whose file is right, and on files that are not what the plan says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.batches import Batch, Datasets
from qdiag.config import load_preset
from qdiag.core.measures.deployed.verification import Verification, VerifyLimits
from qdiag.errors import ConfigError, DataError
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.export.export import export_experiment
from qdiag.pipeline.export.formats import QDQ_ONNX, format_for, format_of
from qdiag.pipeline.verify.integers import NOT_IN_FILE, OTHER_NUMBERS
from qdiag.pipeline.verify.verify import verify_case, with_arithmetic
from qdiag.reading.words.deployed.verification import breach_words
from qdiag.simulate.session import Session
from qdiag.subject import Subject

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.fc = nn.Linear(4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(image)).mean((2, 3)))


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    torch.manual_seed(0)
    net = Net().eval()
    batches = [Batch((torch.randn(4, 2, 6, 6),), labels=torch.tensor([0, 1, 2, 0])) for _ in range(2)]
    data = batches_from(batches)
    opened = begin(
        Session(), Subject(net, "module", "net", "Net"), Datasets(data, data, "the same"), load_preset("int8")
    )
    return with_arithmetic(Session(), opened, "ort")


@pytest.fixture(scope="module")
def content(experiment: Experiment) -> bytes:
    return export_experiment(Session(), experiment, QDQ_ONNX).file.content


def verified(
    experiment: Experiment, content: bytes, limits: VerifyLimits | None = None, **changes: Any
) -> Verification:
    names = {layer.name: f"{layer.name}_quantized" for layer in experiment.case.network.graph.layers}
    arguments = {"names": names, "source": None, "limits": limits or VerifyLimits(), **changes}
    return verify_case(Session(), experiment, experiment.case, QDQ_ONNX, content, **arguments)


def edited(content: bytes, name: str, values: Any) -> bytes:
    """The file with other values in an initializer."""
    model = onnx.ModelProto.FromString(content)
    (tensor,) = [one for one in model.graph.initializer if one.name == name]
    old = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values(old).astype(old.dtype), name))
    return bytes(model.SerializeToString())


def test_a_file_that_is_the_plan(experiment: Experiment, content: bytes) -> None:
    result = verified(experiment, content, VerifyLimits(0.0, 0.0, None))
    assert [layer.layer for layer in result.layers] == ["input:image", "conv", "pool", "fc"]
    assert result.count == 8 * (2 * 36 + 4 * 16 + 4 + 3)
    assert (result.differing_count, result.differing_percent, result.sqnr_gap_db) == (0, 0.0, 0.0)
    assert (result.sample_count, result.equal_count) == (8, 8)
    assert result.simulated == result.deployed
    assert result.simulated_task == result.deployed_task
    assert result.operations.integer == {"QLinearConv": 1, "QLinearGlobalAveragePool": 1, "QGemm": 1}
    assert (result.uncompared, result.fallen_back, result.breaches, result.exit_code) == ((), (), (), 0)


def test_outputs_that_differ_in_their_last_digit_are_equal(experiment: Experiment, content: bytes) -> None:
    """The last scale is the next float32: every integer is the same, and hardly any number."""
    model = onnx.ModelProto.FromString(content)
    last = next(node for node in model.graph.node if model.graph.output[0].name in node.output)
    assert last.op_type == "DequantizeLinear"
    result = verified(experiment, edited(content, last.input[1], lambda old: np.nextafter(old, np.float32(1e9))))
    assert (result.differing_count, result.equal_count, result.sample_count) == (0, 8, 8)
    assert result.simulated != result.deployed


def test_other_weights_in_the_file(experiment: Experiment, content: bytes) -> None:
    """The weights of the last layer have the other sign: the layers before it are equal, it is not."""
    other = edited(content, "fc.weight_quantized", lambda old: np.clip(-old.astype(int), -128, 127))
    result = verified(experiment, other)
    by_name = {layer.layer: layer for layer in result.layers}
    assert [by_name[name].differing_count for name in ("input:image", "conv", "pool")] == [0, 0, 0]
    assert by_name["fc"].differing_count > 0
    assert by_name["fc"].largest_steps > 1
    assert result.equal_count < 8
    assert result.deployed_sqnr_db < result.simulated_sqnr_db
    assert [breach.code for breach in result.breaches] == ["differing", "sqnr_gap"]
    assert result.exit_code == 1
    lenient = replace(result, limits=VerifyLimits(100.0, 1e9, None))
    assert lenient.exit_code == 0
    judged = result.deployed_task.judged
    assert judged is not None
    strict = replace(result, limits=VerifyLimits(100.0, 1e9, judged.loss - 1.0))
    assert [(breach.code, breach.value) for breach in strict.breaches] == [("drop", judged.loss)]
    unjudged = replace(strict, deployed_task=replace(strict.deployed_task, figures=()))
    (breach,) = unjudged.breaches
    assert breach.code == "drop" and unjudged.exit_code == 1
    assert "`max_drop` cannot be judged" in breach_words(breach, unjudged)
    assert not replace(lenient, deployed_task=unjudged.deployed_task).breaches, "without the limit nothing is asked"


def test_what_cannot_be_compared_is_listed(experiment: Experiment, content: bytes) -> None:
    other = edited(content, "fc_scale", lambda old: old * 2.0)
    names = {"conv": "conv_quantized", "fc": "fc_quantized"}
    result = verified(experiment, other, names=names)
    assert {(one.layer, one.reason) for one in result.uncompared} == {
        ("input:image", NOT_IN_FILE),
        ("pool", NOT_IN_FILE),
        ("fc", OTHER_NUMBERS),
    }
    assert [layer.layer for layer in result.layers] == ["conv"]
    with pytest.raises(ConfigError, match="no layer of the network has integers in the file"):
        verified(experiment, content, names={})


def test_a_layer_that_falls_back_to_float(experiment: Experiment, content: bytes) -> None:
    """Somebody has taken the quantizer of a weight away, and put something before it that cannot be folded."""
    model = onnx.ModelProto.FromString(content)
    (gemm,) = [node for node in model.graph.node if node.op_type == "Gemm"]
    gemm.input[0], before = "fc_moved", gemm.input[0]
    place = next(i for i, node in enumerate(model.graph.node) if node.name == gemm.name)
    model.graph.node.insert(place, onnx.helper.make_node("Max", [before], ["fc_moved"], name="moved"))
    result = verified(experiment, model.SerializeToString(), VerifyLimits(100.0, 1e9, None))
    assert result.fallen_back == ("fc",)
    assert [breach.code for breach in result.breaches] == ["fallback"]
    assert result.exit_code == 1


def test_a_file_that_takes_one_sample_at_once(experiment: Experiment, content: bytes) -> None:
    model = onnx.ModelProto.FromString(content)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    assert verified(experiment, model.SerializeToString()).differing_count == 0
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 3
    with pytest.raises(DataError, match="takes 3 samples at once, and a batch has 4"):
        verified(experiment, model.SerializeToString())


def test_a_file_of_another_network(experiment: Experiment, content: bytes) -> None:
    model = onnx.ModelProto.FromString(content)
    output = model.graph.output[0].name
    (last,) = [node for node in model.graph.node if output in node.output]
    last.output[0] = "all_but_one"
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array([value], np.int64), name)
        for name, value in (("from", 0), ("to", 2), ("axis", 1))
    )
    model.graph.node.append(onnx.helper.make_node("Slice", ["all_but_one", "from", "to", "axis"], [output]))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    with pytest.raises(DataError, match=r"has the shape \(4, 2\), that of the network \(4, 3\)"):
        verified(experiment, model.SerializeToString())


def test_formats() -> None:
    assert format_of("some/INT8.ONNX") is QDQ_ONNX
    assert format_for("ort") is QDQ_ONNX
    with pytest.raises(ConfigError, match="says no format of integer files"):
        format_of("int8.bin")
