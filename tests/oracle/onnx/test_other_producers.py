"""Quantized files as other tools than quantize_static write them: read as onnxruntime computes them, or refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
import onnxruntime as ort
from onnx import ModelProto, helper

from qdiag.errors import LoadError
from qdiag.integer_file import IntegerFile
from qdiag.onnx.load import load_network
from tests.networks.onnx_files import Array
from tests.networks.quantized_forms import SHAPE, read_forms, refused_forms

READ, REFUSED = read_forms(), refused_forms()
X = (1.5 * np.random.default_rng(1).standard_normal((4, *SHAPE))).astype(np.float32)


def as_it_stands(content: bytes) -> Array:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    found: Array = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, {"x": X})[0]
    return found


def through(integers: IntegerFile, name: str, values: torch.Tensor) -> torch.Tensor:
    for quantizer in integers.outputs[name]:
        values = quantizer.fake_quantize(values)
    return values


@pytest.mark.parametrize("name", READ)
def test_a_form_is_read_as_onnxruntime_computes_it(name: str) -> None:
    network = load_network(READ[name], "int8.onnx")
    integers = network.integers
    assert integers is not None and integers.encoding == "QDQ" and not integers.uneven
    source = next(one for one in ("x", "xh") if one in integers.outputs)
    assert set(integers.outputs) == {source, "y"} and len(integers.constants) == 1 + (
        name.startswith("integer weights")
    )
    with torch.no_grad():
        found = through(integers, "y", network(through(integers, source, torch.from_numpy(X))))
    steps = np.abs(found.numpy() - as_it_stands(READ[name])) / 0.05
    assert steps.max() < 1.5 and (steps > 0.5).mean() < (0.05 if "half" in name else 0.01)
    assert len(np.unique(found.numpy())) > 15


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_says_so_in_a_sentence(name: str) -> None:
    content, what, instead = REFUSED[name]
    with pytest.raises(LoadError) as caught:
        load_network(content, "int8.onnx")
    assert what in str(caught.value) and instead in str(caught.value.hint)


def test_a_damaged_file_is_refused() -> None:
    """Nodes without inputs, scales of other shapes, attributes of other types: what the fuzzer found."""

    def changed(change: Callable[[Any], None]) -> bytes:
        model = ModelProto.FromString(READ["no bias quantized, float weights rounded in the file"])
        change(next(node for node in model.graph.node if node.name == "wq_n"))
        done: bytes = model.SerializeToString()
        return done

    def of_another_type(node: Any) -> None:
        node.attribute[0].CopyFrom(helper.make_attribute("axis", [0, 1]))

    changes: list[Callable[[Any], None]] = [
        lambda node: node.ClearField("input"),
        lambda node: setattr(node.attribute[0], "i", 1),
        of_another_type,
    ]
    for change in changes:
        with pytest.raises(LoadError, match="what the file quantizes cannot be read"):
            load_network(changed(change), "int8.onnx")
