"""LiteRT files written back: new values in place, and every other byte as it was."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("ai_edge_litert")
from qdiag.errors import WriteError
from qdiag.litert.read import parse
from qdiag.litert.serialize import serialized
from qdiag.loaders.models.formats import load_subject
from qdiag.savers.save import save_subject
from tests.networks.litert_files import lite_bytes, op, quantization, small_cnn
from tests.oracle.litert.against_litert import interpreter


def test_a_changed_file_differs_in_the_changed_values_alone(tmp_path: Path) -> None:
    """Weights of every layout."""
    path, target = tmp_path / "net.tflite", tmp_path / "fixed.tflite"
    path.write_bytes(serialized(small_cnn()))
    subject = load_subject(path)
    parameters = dict(subject.model.named_parameters())
    names = ("stem/w", "dw/w", "dw/b", "fc/w")
    changes = {name: parameters[name] * 2.0 + 1.0 for name in names}
    save_subject(subject, changes, target)
    before, after = path.read_bytes(), target.read_bytes()
    differing = sum(a != b for a, b in zip(before, after, strict=True))
    assert 0 < differing <= 4 * sum(value.numel() for value in changes.values())
    stored = {tensor.name: tensor.data for tensor in parse(after, "").tensors if tensor.data is not None}
    for tensor in small_cnn().tensors:
        if tensor.data is not None:
            wanted = tensor.data * np.float32(2.0) + np.float32(1.0) if tensor.name in names else tensor.data
            np.testing.assert_array_equal(stored[tensor.name], wanted, err_msg=tensor.name)
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 3)).astype(np.float32)
    made = interpreter(after)
    made.set_tensor(made.get_input_details()[0]["index"], x)
    made.invoke()
    with torch.no_grad():
        found = load_subject(target).model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, made.get_tensor(made.get_output_details()[0]["index"]), rtol=1e-4, atol=1e-4)


def test_what_cannot_be_changed_in_place_is_refused(tmp_path: Path) -> None:
    """Integers, and a matrix that two operators read."""
    weight = np.arange(9, dtype=np.int8).reshape(3, 3)
    path, target = tmp_path / "int8.tflite", tmp_path / "fixed.tflite"
    values = {"x": (1, 3), "w": weight, "y": (1, 3)}
    path.write_bytes(lite_bytes([op("FULLY_CONNECTED", "x w -", "y")], values, quantized={"w": quantization(0.5)}))
    with pytest.raises(WriteError, match="into float files alone"):
        save_subject(load_subject(path), {"w": torch.zeros(3, 3)}, target)
    operators = [op("FULLY_CONNECTED", "x w -", "h"), op("FULLY_CONNECTED", "h w -", "y")]
    path.write_bytes(lite_bytes(operators, {"x": (1, 3), "w": weight.astype(np.float32), "h": (1, 3), "y": (1, 3)}))
    with pytest.raises(WriteError, match="no tensor of the file that can be changed"):
        save_subject(load_subject(path), {"w": torch.zeros(3, 3)}, target)
    assert not target.exists()


def test_half_precision_behind_a_dequantize_is_rounded_to_what_the_file_holds(tmp_path: Path) -> None:
    path, target = tmp_path / "net.tflite", tmp_path / "fixed.tflite"
    operators = [op("DEQUANTIZE", "w16", "w"), op("FULLY_CONNECTED", "x w -", "y")]
    values = {"x": (1, 2), "w16": np.eye(2, dtype=np.float16), "w": (2, 2), "y": (1, 2)}
    path.write_bytes(lite_bytes(operators, values))
    save_subject(load_subject(path), {"w16": torch.full((2, 2), 1.0001)}, target)
    assert torch.equal(dict(load_subject(target).model.named_parameters())["w16"], torch.ones(2, 2))
