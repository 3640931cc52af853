"""onnxruntime as a runtime: what it hands out, what it counts, what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.errors import DataError, LoadError
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork, plain_name
from tests.deployed import Exported, export

pytest.importorskip("onnxruntime")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.fc = nn.Linear(4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.tanh(self.conv(image)).amax((2, 3)))


@pytest.fixture(scope="module")
def exported() -> Exported:
    torch.manual_seed(0)
    return export(Net().eval(), ((torch.randn(3, 2, 6, 6),), {}))


@pytest.fixture(scope="module")
def network(exported: Exported) -> OnnxruntimeNetwork:
    return OnnxruntimeNetwork(exported.file.content, "net.onnx")


def test_names_and_numbers(network: OnnxruntimeNetwork, exported: Exported) -> None:
    assert network.inputs == ("image",)
    assert network.outputs == ("output",)
    assert network.runtime.startswith("onnxruntime 1.")
    quantizer = exported.case.plan.layers["conv"].output
    tensor = network.tensors[exported.file.integers["conv"]]
    assert tensor.name == "conv_quantized"
    assert tensor.dtype == np.uint8
    assert tensor.axis is None
    assert float(tensor.scale) == float(quantizer.scale)  # type: ignore[union-attr]
    assert int(tensor.zero_point) == int(quantizer.zero_point)  # type: ignore[union-attr]
    assert not any("weight" in name for name in network.tensors), "weights are no activations"


def test_a_number_of_samples_below_one_is_free(exported: Exported) -> None:
    """Paddle's exporter writes -1; the file of a fixed size says which."""
    import onnx

    model = onnx.ModelProto.FromString(exported.file.content)
    for size, wanted in ((-1, None), (4, 4)):
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size
        assert OnnxruntimeNetwork(model.SerializeToString()).batch_size == wanted


def test_outputs_and_integers(network: OnnxruntimeNetwork, exported: Exported) -> None:
    image = exported.batch.args[0].numpy()
    alone = network.run({"image": image})
    both = network.run({"image": image}, ["fc_quantized"])
    assert list(alone.integers) == []
    assert np.array_equal(alone.outputs["output"], both.outputs["output"])
    tensor = network.tensors["fc_quantized"]
    values = (both.integers["fc_quantized"].astype(np.int64) - tensor.zero_point).astype(np.float32) * tensor.scale
    assert np.array_equal(values, both.outputs["output"])


def test_what_is_in_float_is_named(network: OnnxruntimeNetwork) -> None:
    operations = network.operations()
    assert operations.integer == {"QLinearConv": 1, "QGemm": 1}
    assert operations.integer_count == 2
    assert [(one.op, one.name) for one in operations.floating] == [("Tanh", "tanh")]
    assert operations.moving["ReduceMax"] == 1


def test_what_is_refused(network: OnnxruntimeNetwork) -> None:
    image = np.zeros((1, 2, 6, 6), np.float32)
    with pytest.raises(DataError, match="no activation of integers under the name 'conv'"):
        network.run({"image": image}, ["conv"])
    with pytest.raises(DataError, match="nothing is given for the input 'image'"):
        network.run({"picture": image})
    with pytest.raises(DataError, match="onnxruntime refuses the batch"):
        network.run({"image": image[:, :1]})
    with pytest.raises(LoadError, match="no ONNX file"):
        _ = OnnxruntimeNetwork(b"nothing of the kind", "net.onnx").tensors
    with pytest.raises(LoadError, match="does not take the file"):
        OnnxruntimeNetwork(b"", "net.onnx").operations()


def test_names_without_what_another_layout_puts_behind_them() -> None:
    assert plain_name("conv_token_12") == "conv"
    assert plain_name("conv_nchwc") == "conv"
    assert plain_name("fused conv") == "conv"
    assert plain_name("class_token") == "class_token"
    assert plain_name("conv_token_a") == "conv_token_a"
