"""What is no model, or not yet: one clear error for each, and nothing is left behind."""

import io
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from qdiag.errors import LoadError
from qdiag.loaders.models.formats import load_subject

pytestmark = pytest.mark.usefixtures("child_reads_first")


def png(path: Path) -> None:
    Image.new("RGB", (4, 4)).save(path, "PNG")


def jpeg(path: Path) -> None:
    Image.new("RGB", (4, 4)).save(path, "JPEG")


def npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, images=np.zeros(3))


def npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def onnx_like(path: Path) -> None:
    # ModelProto: ir_version 8, producer_name "pytorch", the start of a graph.
    path.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x10" + bytes(16))


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("weights"), io.BytesIO())


def zip_of(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"text")

    return write


def cut_zip(path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), path)
    path.write_bytes(path.read_bytes()[:300])


def content(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None  # type: ignore[return-value]


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
SAFE_BUT_CUT = (2000).to_bytes(8, "little") + b'{"weight":{"dtype":"F32","shape":[2,2]'

GRAPH = b"\n\x20\n\x05input\x12\x0bPlaceholder" + bytes(64)

BAD: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "empty": (content(b""), "the file is empty", "again"),
    "one byte": (content(b"\x80"), "no known model format|cannot be read", ""),
    "text": (content(b"hello, this is no model\n" * 9), "this is a text file", "torch.export.save"),
    "text in Greek": (content("μοντέλο ".encode() * 99), "this is a text file", ""),
    "web page": (content(b"\n<!DOCTYPE html><html>404</html>"), "this is a web page", "fetch it again"),
    "git-lfs pointer": (content(LFS), "Git LFS pointer", "git lfs pull"),
    "PNG": (png, "PNG image", "`data`"),
    "JPEG": (jpeg, "JPEG image", "`data`"),
    "NumPy array": (npy, "NumPy array", "`data`"),
    "NumPy archive": (npz, "NumPy arrays", "`data`"),
    "ONNX": (onnx_like, "the ONNX file is cut short or damaged", "copy"),
    "HDF5": (content(b"\x89HDF\r\n\x1a\n" + bytes(64)), "HDF5 file: TensorFlow", "`arch`"),
    "LiteRT": (content(b"\x1c\0\0\0TFL3" + bytes(64)), "the LiteRT file", "damaged"),
    "SavedModel": (content(b"\x08\x01\x12\xff\x01" + bytes(64)), "TensorFlow SavedModel", "`arch`"),
    "frozen graph.pb": (content(GRAPH), "a .pb file: TensorFlow", "`arch`"),
    "Keras archive": (zip_of("config.json", "model.weights.h5"), "Keras file", "`arch`"),
    "GGUF": (content(b"GGUF\3\0\0\0" + bytes(64)), "GGUF files are not read", ""),
    "gzip": (content(b"\x1f\x8b\x08\0" + bytes(64)), "gzip archive", "unpack"),
    "tar": (tar, "tar archive", "unpack"),
    "torch.package": (zip_of("p/.data/extern_modules", "p/code.py"), "torch.package", ""),
    "other zip": (zip_of("readme.txt", "b/c.txt"), "zip archive without a model", ""),
    "zip cut short": (cut_zip, "zip archive cut short", "again"),
    "safetensors cut short": (content(SAFE_BUT_CUT), "safetensors file cannot be read", "again"),
    "zeros": (content(bytes(300)), "no known model format", ""),
    "noise": (content(bytes(range(255, 0, -1)) * 3), "no known model format", ""),
    "network.py": (content(b"def make(): ...\n"), "the name of the factory is missing", "network.py:factory"),
}  # fmt: skip


@pytest.mark.parametrize("with_arch", [False, True])
@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_model(tmp_path: Path, kind: str, with_arch: bool) -> None:
    write, message, hint = BAD[kind]
    path = tmp_path / kind
    write(path)
    before = path.read_bytes()
    with pytest.raises(LoadError, match=message) as caught:
        load_subject(path, arch="zoo:mobilenet_v1_small" if with_arch else None, trust=True)
    error = caught.value
    assert error.at == str(path)
    assert "\n" not in str(error)
    assert hint in str(error.hint)
    assert [entry.name for entry in tmp_path.iterdir()] == [kind]
    assert path.read_bytes() == before


def test_a_folder_names_a_file_in_it(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="this is a folder"):
        load_subject(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(LoadError, match="this is a folder") as caught:
        load_subject(tmp_path)
    assert str(tmp_path / "model.safetensors") in str(caught.value.hint)
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(LoadError, match="TensorFlow SavedModel folder"):
        load_subject(tmp_path)


def test_a_missing_file_gives_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(LoadError, match="no such file") as caught:
        load_subject(tmp_path / "modle.pt")
    assert str(tmp_path / "model.pt") in str(caught.value.hint)
    with pytest.raises(LoadError, match="no such file"):
        load_subject(tmp_path / "nowhere" / "model.pt")


@pytest.mark.parametrize("reference", ["", "model", "https://example.org/model.pt", "name with spaces:x"])
def test_other_texts_are_no_model(reference: str) -> None:
    with pytest.raises(LoadError):
        load_subject(reference)


def test_onnx_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    path = tmp_path / "model.onnx"
    onnx_like(path)
    with pytest.raises(LoadError, match="needs the package onnx-ir") as caught:
        load_subject(path)
    assert caught.value.hint == "pip install 'qdiag[onnx]'"
