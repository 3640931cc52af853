"""ONNX files written back: new values in place, and every other byte as it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
import onnxruntime as ort

from qdiag.errors import WriteError
from qdiag.loaders.models.formats import load_subject
from qdiag.onnx.wire.places import places
from qdiag.savers.save import save_subject
from qdiag.subject import Subject
from tests.networks.onnx_files import node, onnx_bytes, small_cnn


def test_a_changed_file_differs_in_the_changed_values_alone(tmp_path: Path) -> None:
    path, target = tmp_path / "net.onnx", tmp_path / "fixed.onnx"
    path.write_bytes(small_cnn())
    subject = load_subject(path)
    parameters = dict(subject.model.named_parameters())
    changes = {"block.bias": parameters["block.bias"] + 1.0, "stem.weight": parameters["stem.weight"] * 2.0}
    save_subject(subject, changes, target)
    before, after = path.read_bytes(), target.read_bytes()
    assert len(before) == len(after)
    spots = {place.name: place for place in places(before)}
    allowed = {i for name in changes for i in range(spots[name].start, spots[name].end or 0)}
    assert {i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b} <= allowed
    again = dict(load_subject(target).model.named_parameters())
    assert all(torch.equal(again[name], changes.get(name, value)) for name, value in parameters.items())
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    expected = ort.InferenceSession(after).run(None, {"x": x})[0]
    with torch.no_grad():
        found = load_subject(target).model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_transposed_matrices_and_shaped_biases_are_written_in_their_own_form(tmp_path: Path) -> None:
    path, target = tmp_path / "net.onnx", tmp_path / "fixed.onnx"
    weight = np.arange(12, dtype=np.float32).reshape(4, 3)
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b", "y")]
    constants = {"w": weight, "b": np.ones((1, 3), np.float16).astype(np.float32)}
    path.write_bytes(onnx_bytes(nodes, {"x": ("float32", ["N", 4])}, constants))
    subject = load_subject(path)
    assert {n: tuple(p.shape) for n, p in subject.model.named_parameters()} == {"w": (3, 4), "b": (3,)}
    save_subject(subject, {"w": torch.from_numpy(weight.T * 3.0), "b": torch.full((3,), 5.0)}, target)
    found = ort.InferenceSession(target.read_bytes()).run(None, {"x": np.eye(4, dtype=np.float32)})[0]
    np.testing.assert_array_equal(found, weight * 3.0 + 5.0)


def reshaped(bias: str = "b", *first: Any) -> bytes:
    """A bias that a node brings into the shape in which it is added, as paddle2onnx writes it, and its output."""
    nodes = [*first, node("Reshape", f"{bias} shape", "r"), node("Conv", "x w", "c"), node("Add", "c r", "y")]
    constants = {"w": np.ones((2, 3, 1, 1), np.float32), "b": np.asarray([1.0, 2.0], np.float32)}
    shape = {"shape": np.asarray([1, 2, 1, 1])}
    return onnx_bytes(nodes, {"x": ("float32", ["N", 3, 2, 2])}, {**constants, **shape}, ["y", "z"] if first else ["y"])


def bias_of(path: Path) -> tuple[Subject, str]:
    subject = load_subject(path)
    (name,) = [name for name, value in subject.model.named_parameters() if value.shape == (2,)]
    return subject, name


def test_a_tensor_that_a_node_reshapes_is_written_where_it_stands(tmp_path: Path) -> None:
    path, target = tmp_path / "net.onnx", tmp_path / "fixed.onnx"
    path.write_bytes(reshaped())
    subject, name = bias_of(path)
    save_subject(subject, {name: torch.tensor([5.0, 7.0])}, target)
    before, after = path.read_bytes(), target.read_bytes()
    spot = next(place for place in places(before) if place.name == "b")
    assert {i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b} <= set(
        range(spot.start, spot.end or 0)
    )
    found = ort.InferenceSession(after).run(None, {"x": np.zeros((1, 3, 2, 2), np.float32)})[0]
    np.testing.assert_array_equal(found[0, :, 0, 0], [5.0, 7.0])


def test_one_that_is_read_elsewhere_too_is_not(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(reshaped("i", node("Identity", "b", "i"), node("Mul", "i i", "z")))
    subject, name = bias_of(path)
    with pytest.raises(WriteError, match="no tensor of the file"):
        save_subject(subject, {name: torch.tensor([5.0, 7.0])}, tmp_path / "fixed.onnx")


def test_a_matrix_that_is_reshaped_and_then_transposed_is_not(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [node("Reshape", "w shape", "m"), node("MatMul", "x m", "y")]
    constants = {"w": np.arange(6, dtype=np.float32), "shape": np.asarray([3, 2])}
    path.write_bytes(onnx_bytes(nodes, {"x": ("float32", ["N", 3])}, constants))
    subject = load_subject(path)
    ((name, value),) = subject.model.named_parameters()
    with pytest.raises(WriteError, match="no tensor of the file"):
        save_subject(subject, {name: value + 1.0}, tmp_path / "fixed.onnx")


def test_half_precision_is_rounded_to_what_the_file_holds(tmp_path: Path) -> None:
    path, target = tmp_path / "net.onnx", tmp_path / "fixed.onnx"
    nodes = [node("Cast", "x", "h", to=10), node("MatMul", "h w", "y")]
    path.write_bytes(onnx_bytes(nodes, {"x": ("float32", ["N", 2])}, {"w": np.eye(2, dtype=np.float16)}))
    save_subject(load_subject(path), {"w": torch.full((2, 2), 1.0001)}, target)
    assert torch.equal(dict(load_subject(target).model.named_parameters())["w"], torch.ones(2, 2))


def test_what_the_file_computes_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [node("Mul", "v two", "w"), node("MatMul", "x w", "y")]
    constants = {"v": np.eye(2, dtype=np.float32), "two": np.asarray(2.0, np.float32)}
    path.write_bytes(onnx_bytes(nodes, {"x": ("float32", ["N", 2])}, constants))
    subject = load_subject(path)
    with pytest.raises(WriteError, match="the values of w are no tensor of the file"):
        save_subject(subject, {"w": torch.eye(2)}, tmp_path / "fixed.onnx")
    assert not (tmp_path / "fixed.onnx").exists()
