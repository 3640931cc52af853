"""Integer LiteRT files: what they say of each layer, alone and beside the float network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("ai_edge_litert")
from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.core.measures.deployed.verification import VerifyLimits
from qdiag.exporters.litert.number_types import as_affine
from qdiag.exporters.litert.write import write_lite
from qdiag.litert.load import load_network
from qdiag.litert.network import LitertNetwork
from qdiag.litert.serialize import serialized
from qdiag.loaders.models.formats import load_subject
from qdiag.numerics.quantizers.affine import Affine
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.export.formats import format_for
from qdiag.pipeline.preparation.given import datasets_of, scheme_of
from qdiag.pipeline.verify.verify import verify_case, with_arithmetic
from qdiag.simulate.session import Session
from qdiag.subject import Subject
from tests.networks.litert_files import lite_bytes, op, quantization, small_integer_cnn

X = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.block = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.block(x))
        head: Tensor = self.head(x.mean((2, 3)))
        return head


def float_subject() -> Subject:
    torch.manual_seed(0)
    return Subject(Net().eval(), "module", "net", "Net")


@pytest.fixture(scope="module")
def written() -> tuple[Experiment, bytes]:
    """The plan of a network, and the file that was written of it."""
    made = begin(Session(), float_subject(), datasets_of(X, None), scheme_of(load_preset("int8")))
    return made, write_lite(made.case.network, made.case.plan, Batch((X,))).content


def test_integers_and_quantizers_are_read_from_the_file(written: tuple[Experiment, bytes], tmp_path: Path) -> None:
    """Beside the float network: those of the plan that was written, though nothing is calibrated."""
    plan, content = written
    (tmp_path / "int8.tflite").write_bytes(content)
    quantized = load_subject(tmp_path / "int8.tflite")
    found = begin(
        Session(), float_subject(), datasets_of(X * 3.0, None), scheme_of(load_preset("int8")), quantized=quantized
    )
    assert (
        found.deployed is not None
        and found.deployed.file.encoding == "LiteRT"
        and found.deployed.file.reference == "float"
    )
    assert not found.deployed.file.only_file and not found.deployed.file.only_float and not found.deployed.file.unplaced
    for layer in plan.case.network.graph.layers:
        own, other = plan.case.plan.layers[layer.name], found.case.plan.layers[layer.name]
        assert isinstance(own.output, Affine) and isinstance(other.output, Affine)
        assert as_affine(own.output, "").key == other.output.key, layer.name
        if layer.weight is not None:
            weight = plan.case.network.program.constants[layer.weight]
            assert own.weight is not None and other.weight is not None and other.stored_bias is not None
            assert torch.equal(own.weight.quantize(weight), other.weight.quantize(weight))  # type: ignore[attr-defined]


def test_a_file_alone_is_measured_against_its_own_weights(written: tuple[Experiment, bytes], tmp_path: Path) -> None:
    (tmp_path / "int8.tflite").write_bytes(written[1])
    found = begin(
        Session(), load_subject(tmp_path / "int8.tflite"), datasets_of(X, None), scheme_of(load_preset("int8"))
    )
    assert found.deployed is not None and found.deployed.file.reference == "dequantized"
    layers = [layer.name for layer in found.case.network.graph.layers]
    assert layers == ["input:x", "stem", "block", "add", "pool", "head"]
    assert all(found.case.plan.layers[name].output is not None for name in layers)


def test_a_quantize_operator_is_the_quantizer_of_what_it_reads() -> None:
    """Files with float inputs and outputs have QUANTIZE behind the one and DEQUANTIZE before the other."""
    weight = np.random.default_rng(0).integers(-127, 128, (4, 3)).astype(np.int8)
    content = lite_bytes(
        [op("QUANTIZE", "x", "q"), op("FULLY_CONNECTED", "q w -", "f"), op("DEQUANTIZE", "f", "y")],
        {"x": (1, 3), "q": (1, 3), "w": weight, "f": (1, 4), "y": (1, 4)},
        quantized={"q": quantization(0.5, 3), "w": quantization([0.1, 0.2, 0.3, 0.4]), "f": quantization(0.25, -5)},
        dtypes={"q": np.int8, "f": np.int8},
    )
    network = load_network(content, "net.tflite")
    assert network.integers is not None
    outputs = {name: [(float(q.scale), int(q.zero_point)) for q in c] for name, c in network.integers.outputs.items()}
    assert outputs["x"] == [(0.5, 3)] and list(outputs.values())[-1] == [(0.25, -5)]
    stored = network.integers.constants["w"]
    assert np.array_equal(stored.integers.numpy(), weight) and stored.quantizer.channel_axis == 0
    x = torch.randn(2, 3)
    torch.testing.assert_close(
        network.eval()(x), x @ (torch.from_numpy(weight) * torch.tensor([[0.1], [0.2], [0.3], [0.4]])).T
    )


def test_weights_alone_in_integers_leave_activations_in_float() -> None:
    weight = np.random.default_rng(0).integers(-127, 128, (1, 3, 3, 4)).astype(np.int8)
    content = lite_bytes(
        [op("DEPTHWISE_CONV_2D", "x w b", "y", strideH=1, strideW=1, depthMultiplier=1)],
        {"x": (1, 5, 5, 4), "w": weight, "b": np.zeros(4, np.float32), "y": (1, 5, 5, 4)},
        quantized={"w": quantization([0.1, 0.2, 0.3, 0.4], 0, 3)},
    )
    network = load_network(content, "net.tflite")
    assert network.integers is not None and not network.integers.outputs
    stored = network.integers.constants["w"]
    assert stored.integers.shape == (4, 1, 3, 3) and stored.quantizer.channel_axis == 0
    assert np.array_equal(stored.integers.numpy(), weight.transpose(3, 0, 1, 2))


def test_a_file_with_weights_of_float16_and_parts_of_a_concat(tmp_path: Path) -> None:
    """As converters write them: each kernel's integers are those of the simulation."""
    content = serialized(small_integer_cnn())
    (tmp_path / "int8.tflite").write_bytes(content)
    subject = load_subject(tmp_path / "int8.tflite")
    assert isinstance(subject.model, LitertNetwork)
    half = next(tensor.data for tensor in subject.model.source.tensors if tensor.name == "fc/half")
    assert half is not None
    assert np.array_equal(dict(subject.model.named_parameters())["fc/half"].numpy(), half.astype(np.float32))
    x = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(2))
    found = begin(Session(), subject, datasets_of(x, None), scheme_of(load_preset("int8")))
    for kernels in ("tflite-ref", "tflite", "xnnpack"):
        form, limits = format_for(kernels), VerifyLimits()
        under = with_arithmetic(Session(), found, form.arithmetic)
        run = verify_case(Session(), under, under.case, form, content, None, source="", limits=limits)
        assert len(run.layers) >= 5 and run.differing_count == 0, kernels


@pytest.mark.parametrize(("dtype", "code"), [(np.int32, 2), (np.int64, 0)])
def test_files_of_int16_with_a_bias_of_32_bits_and_of_64(dtype: type, code: int, tmp_path: Path) -> None:
    """Kernels round by the type of the bias; none of their integers differs."""
    rng = np.random.default_rng(0)
    first, second = (quantization(rng.uniform(0.002, 0.01, count)) for count in (6, 5))
    options = {"quantizedBiasType": code} if code else {}
    content = lite_bytes(
        [
            op("CONV_2D", "x w b", "c", padding=1, strideH=1, strideW=1, fusedActivationFunction=1, **options),
            op("MEAN", "c a", "m", keepDims=False),
            op("FULLY_CONNECTED", "m v d", "y", **options),
        ],
        {
            "x": (1, 8, 8, 3),
            "w": rng.integers(-127, 128, (6, 3, 3, 3)).astype(np.int8),
            "b": rng.integers(-(10**6), 10**6, 6).astype(dtype),
            "c": (1, 6, 6, 6),
            "a": np.asarray([1, 2], np.int32),
            "m": (1, 6),
            "v": rng.integers(-127, 128, (5, 6)).astype(np.int8),
            "d": rng.integers(-(10**5), 10**5, 5).astype(dtype),
            "y": (1, 5),
        },
        quantized={
            **{"x": quantization(1e-4), "c": quantization(9e-5), "m": quantization(5e-5), "y": quantization(1e-4)},
            **{"w": first, "b": quantization(first.scales * np.float32(1e-4))},
            **{"v": second, "d": quantization(second.scales * np.float32(5e-5))},
        },
        dtypes=dict.fromkeys("xcmy", np.int16),
    )
    (tmp_path / "int16.tflite").write_bytes(content)
    x = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 6.0 - 3.0
    subject = load_subject(tmp_path / "int16.tflite")
    found = begin(Session(), subject, datasets_of(x, None), scheme_of(load_preset("int8")))
    for kernels in ("tflite-ref", "tflite", "xnnpack"):
        form, limits = format_for(kernels), VerifyLimits()
        under = with_arithmetic(Session(), found, form.arithmetic)
        run = verify_case(Session(), under, under.case, form, content, None, source="", limits=limits)
        assert len(run.layers) == 4 and run.differing_count == 0, kernels
