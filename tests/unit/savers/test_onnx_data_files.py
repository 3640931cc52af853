"""ONNX files whose tensors stand in other files: a new pair is written, and nothing else changes."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
import onnx
import onnxruntime as ort
from onnx import external_data_helper

from qdiag.errors import LoadError, WriteError
from qdiag.files.pair import whole_files
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.models.operations.onnx import self_contained
from qdiag.onnx.wire.relocate import INSIDE
from qdiag.savers.save import check_files, save_subject
from tests.networks.onnx_files import node, onnx_bytes, small_cnn

CHANGED = "block.weight"


def divided(folder: Path, names: Sequence[str] = ("weights.bin",), *, with_lengths: bool = True) -> Path:
    """The small network with its tensors in these files by turns, in the reverse of their order, with gaps between."""
    model = onnx.ModelProto.FromString(small_cnn())
    files = {name: bytearray(b"head") for name in names}
    for i, tensor in reversed(list(enumerate(model.graph.initializer))):
        if tensor.name in ("low", "high", "bn.bias", "shape"):  # some stay inside, as small ones do
            continue
        name = names[i % len(names)]
        start = len(files[name])
        files[name] += tensor.raw_data
        entries = {"location": name, "offset": str(start), "length": str(len(tensor.raw_data))}
        last_of_its_file = not any(names[j % len(names)] == name for j in range(i))
        if not with_lengths and last_of_its_file:
            del entries["length"]  # up to the end of the file
        else:
            files[name] += b"gap"
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 5]))
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def parameters(path: Path) -> dict[str, torch.Tensor]:
    model = load_subject(path).model
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}  # type: ignore[union-attr]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def outputs(path: Path) -> Any:
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    return ort.InferenceSession(path).run(None, {"x": x})[0]


def of_tensors(path: Path) -> dict[str, bytes]:
    return {tensor.name: onnx.numpy_helper.to_array(tensor).tobytes() for tensor in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("names", [("weights.bin",), ("a.bin", "sub/b.bin", "c.bin")])
def test_what_did_not_change_is_the_same_byte_for_byte(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "to").mkdir()
    path, target = divided(tmp_path, names, with_lengths=len(names) == 1), tmp_path / "to" / "fixed.onnx"
    before, old = content(tmp_path), parameters(path)
    changes = {CHANGED: old[CHANGED] * 2.0, "bn.bias": old["bn.bias"] + 1.0}
    save_subject(load_subject(path), changes, target)
    assert {name: data for name, data in content(tmp_path).items() if not name.startswith("to/")} == before
    assert sorted(p.name for p in target.parent.iterdir()) == ["fixed.onnx", "fixed.onnx.data"]
    onnx.checker.check_model(str(target), full_check=True)
    new = parameters(target)
    assert all(torch.equal(new[name], changes.get(name, value)) for name, value in old.items())
    was, now = of_tensors(path), of_tensors(target)
    assert list(was) == list(now)
    assert {name for name in was if was[name] != now[name]} == set(changes)
    with torch.no_grad():
        x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32))
        np.testing.assert_allclose(load_subject(target).model(x).numpy(), outputs(target), atol=1e-5)
    assert np.abs(outputs(target) - outputs(path)).max() > 0.01


def test_bytes_of_no_tensor_and_fields_of_the_file_stay(tmp_path: Path) -> None:
    path, target = divided(tmp_path), tmp_path / "fixed.onnx"
    source = path.read_bytes() + b"\xd2\x3e\x04kept"  # a field that onnx does not know
    path.write_bytes(source)
    changed = parameters(path)[CHANGED] * 2.0
    save_subject(load_subject(path), {CHANGED: changed}, target)
    where = {
        t.name: external_data_helper.ExternalDataInfo(t)
        for t in onnx.load(path, load_external_data=False).graph.initializer
    }
    place = where[CHANGED]
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[place.offset : place.offset + place.length] = changed.numpy().tobytes()
    assert (tmp_path / "fixed.onnx.data").read_bytes() == data
    proto = onnx.ModelProto.FromString(source)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "fixed.onnx.data" if entry.key == "location" else entry.value
    assert target.read_bytes() == proto.SerializeToString()


def test_a_checksum_is_that_of_the_new_file(tmp_path: Path) -> None:
    path, target = divided(tmp_path), tmp_path / "fixed.onnx"
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        if tensor.name == CHANGED:
            tensor.external_data.add(key="checksum", value="0" * 40)
    path.write_bytes(model.SerializeToString())
    save_subject(load_subject(path), {CHANGED: parameters(path)[CHANGED] * 2.0}, target)
    (stored,) = (t for t in onnx.load(target, load_external_data=False).graph.initializer if t.name == CHANGED)
    digest = hashlib.sha1((tmp_path / "fixed.onnx.data").read_bytes()).hexdigest()
    assert external_data_helper.ExternalDataInfo(stored).checksum == digest


def test_a_data_file_that_is_there_is_replaced_with_force_alone(tmp_path: Path) -> None:
    path, target = divided(tmp_path), tmp_path / "fixed.onnx"
    changes = {CHANGED: parameters(path)[CHANGED] * 2.0}
    (tmp_path / "fixed.onnx.data").write_bytes(b"precious")
    with pytest.raises(WriteError, match="there is such a file already") as refused:
        check_files(path, target, force=False)
    assert refused.value.at == str(tmp_path / "fixed.onnx.data")
    with pytest.raises(WriteError, match="there is such a file already"):
        save_subject(load_subject(path), changes, target)
    assert (tmp_path / "fixed.onnx.data").read_bytes() == b"precious" and not target.exists()
    save_subject(load_subject(path), changes, target, force=True)
    assert torch.equal(parameters(target)[CHANGED], changes[CHANGED])


def test_the_data_file_of_the_source_is_replaced_in_place_alone(tmp_path: Path) -> None:
    path = divided(tmp_path, ("net.onnx.data",))
    path = path.rename(tmp_path / "source.onnx")
    changes = {CHANGED: parameters(path)[CHANGED] * 2.0}
    before = content(tmp_path)
    with pytest.raises(WriteError, match="this holds values of the model that was read"):
        save_subject(load_subject(path), changes, tmp_path / "net.onnx", force=True)
    assert content(tmp_path) == before
    path = path.rename(tmp_path / "net.onnx")
    save_subject(load_subject(path), changes, path, in_place=True)
    assert sorted(content(tmp_path)) == ["net.onnx", "net.onnx.data"]
    assert torch.equal(parameters(path)[CHANGED], changes[CHANGED])


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the second rename is the one that fails: the data file before it comes back, or goes."""
    path, target = divided(tmp_path), tmp_path / "fixed.onnx"
    changes = {CHANGED: parameters(path)[CHANGED] * 2.0}
    real, before = Path.replace, content(tmp_path)

    def fail(self: Path, onto: Path) -> Path:
        if onto == target:
            raise OSError(28, os.strerror(28))
        return real(self, onto)

    monkeypatch.setattr(Path, "replace", fail)
    for there in ({}, {"fixed.onnx": b"old model", "fixed.onnx.data": b"old data"}):
        for name, data in there.items():
            (tmp_path / name).write_bytes(data)
        with pytest.raises(WriteError, match="the disk is full"):
            save_subject(load_subject(path), changes, target, force=True)
        assert content(tmp_path) == {**before, **there}
    assert not list(tmp_path.glob(".*"))


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole_files(tmp_path / "a", tmp_path / "b") as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_link_to_a_file_elsewhere_is_neither_read_nor_written_through(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    path = divided(folder)
    subject = load_subject(path)
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    (folder / "weights.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(LoadError, match="outside of its folder"):
        save_subject(subject, {CHANGED: parameters_of(subject)}, folder / "fixed.onnx")
    (folder / "weights.bin").unlink()
    (tmp_path / "weights.bin").rename(folder / "weights.bin")
    (tmp_path / "elsewhere").write_bytes(b"precious")
    (folder / "fixed.onnx.data").symlink_to(tmp_path / "elsewhere")
    save_subject(subject, {CHANGED: parameters_of(subject)}, folder / "fixed.onnx", force=True)
    assert (tmp_path / "elsewhere").read_bytes() == b"precious"
    assert not (folder / "fixed.onnx.data").is_symlink()


def parameters_of(subject: Any) -> torch.Tensor:
    return dict(subject.model.named_parameters())[CHANGED].detach() * 2.0


def test_bytes_that_two_tensors_share_are_not_changed(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")]
    constants = {"w": np.eye(3, dtype=np.float32), "v": np.eye(3, dtype=np.float32)}
    model = onnx.ModelProto.FromString(onnx_bytes(nodes, {"x": ("float32", ["N", 3])}, constants))
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
    (tmp_path / "weights.bin").write_bytes(constants["w"].tobytes())
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WriteError, match=r"w and v stand in the same bytes of weights\.bin"):
        save_subject(load_subject(path), {"w": torch.full((3, 3), 2.0)}, tmp_path / "fixed.onnx")
    assert sorted(content(tmp_path)) == ["net.onnx", "weights.bin"]


def test_every_message_of_the_format_that_leads_to_a_tensor_is_walked() -> None:
    """Against the descriptors of the package `onnx`."""
    messages = {"model": "Model", "training": "TrainingInfo", "function": "Function", "graph": "Graph"}
    messages |= {"sparse": "SparseTensor", "node": "Node", "attribute": "Attribute", "tensor": "Tensor"}
    kinds = {f"{name}Proto": kind for kind, name in messages.items()}
    for kind, inside in INSIDE.items():
        descriptor = getattr(onnx, f"{messages[kind]}Proto").DESCRIPTOR
        found = {f.number: kinds.get(f.message_type.name) for f in descriptor.fields if f.message_type}
        assert inside == {number: inner for number, inner in found.items() if inner}


def test_a_file_of_more_than_two_gigabytes_beside_it_is_read_in_parts(tmp_path: Path) -> None:
    """The file is sparse: nothing but the tensors is written, or read."""
    path, far = divided(tmp_path), 5 << 30
    values = (tmp_path / "weights.bin").read_bytes()
    expected = parameters(path)
    model = onnx.ModelProto.FromString(path.read_bytes())
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "offset":
                entry.value = str(int(entry.value) + far)
    path.write_bytes(model.SerializeToString())
    with (tmp_path / "weights.bin").open("wb") as file:
        file.seek(far)
        file.write(values)
    found = parameters(path)
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_file_of_more_than_two_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    head = {"net.onnx": small_cnn()[:64], "net.tflite": b"\x14\0\0\0TFL3"}
    for name, start in head.items():
        (tmp_path / name).write_bytes(start)
        os.truncate(tmp_path / name, (2 << 30) + 1)
        with pytest.raises(LoadError, match=r"the file has 2048 MiB, and (a protocol buffer )?at most 2048"):
            load_subject(tmp_path / name)
    with pytest.raises(LoadError, match="a protocol buffer at most"):
        check_files(tmp_path / "net.onnx", tmp_path / "new.onnx", force=False)


def test_a_runtime_gets_the_file_with_its_tensors_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, x = divided(tmp_path), np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    found, expected = (ort.InferenceSession(one) for one in (self_contained(path), str(path)))
    assert np.array_equal(found.run(None, {"x": x})[0], expected.run(None, {"x": x})[0])
    (tmp_path / "whole.onnx").write_bytes(small_cnn())
    assert self_contained(tmp_path / "whole.onnx") == small_cnn()
    monkeypatch.setattr("qdiag.loaders.models.operations.onnx._BYTES_MAX", 1 << 10)
    with pytest.raises(LoadError, match="with its tensors inside it has more than 0 MiB, so that it is not run"):
        self_contained(path)
