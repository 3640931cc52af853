"""Files of data that are damaged, or ask for too much: refused in words, whatever the library beneath raises."""

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from qdiag.errors import DataError
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.images.pixels import PIXELS_MAX


def refusal(path: Path) -> DataError:
    """What is raised when the data are opened and gone through."""
    with pytest.raises(DataError) as caught:
        for batch in open_datasets(DataRequest(str(path))).evaluation:
            del batch
    return caught.value


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


GOOD = npz(images=np.zeros((4, 3, 8, 8), np.float32), labels=np.arange(4))


def with_member(name: str, content: bytes) -> bytes:
    stream = io.BytesIO(GOOD)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (with_member("notes.txt", b"hello"), "its member notes.txt is no array"),
        (with_member("x.npy", b"hello"), "its member x is no array|cannot be read"),
        (GOOD[:-40], "cut short or damaged|cannot be read"),
        (GOOD.replace(b"PK\x01\x02", b"PK\x01\x03", 1), "the archive cannot be read"),
        (GOOD.replace(b"PK\x03\x04", b"PK\x03\x05", 1), "the archive is damaged"),
    ],
)
def test_a_damaged_archive_of_arrays(content: bytes, fact: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    error = refusal(path)
    assert any(part in error.message for part in fact.split("|")), error.message
    assert error.at == str(path)


@pytest.mark.parametrize("header", [b"{'descr': '<f4', 'shape': (2, ", b"{'descr': lambda: 1}", b"(" * 100, b"'"])
def test_a_header_of_an_array_that_is_no_header(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64)
    assert "the .npy file cannot be read" in refusal(path).message


def test_an_array_larger_than_its_file(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 3, 8, 8)})
    (tmp_path / "x.npy").write_bytes(stream.getvalue())
    assert "cannot be read" in refusal(tmp_path / "x.npy").message


def test_an_archive_that_unpacks_a_thousandfold(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", b"\0" * (70 << 20))
    assert "unpacks to 70 MiB, more than 200 times its size" in refusal(tmp_path / "x.npz").message


def test_a_view_of_ten_million_samples(tmp_path: Path) -> None:
    torch.save(torch.zeros(1, 3, 8, 8).expand(10_000_000, 3, 8, 8), tmp_path / "x.pt")
    start = time.monotonic()
    assert "repeats them more than 100 times" in refusal(tmp_path / "x.pt").message
    assert time.monotonic() - start < 10
    torch.save(torch.zeros(1, 3, 8, 8).expand(10, 3, 8, 8), tmp_path / "small.pt")
    assert open_datasets(DataRequest(str(tmp_path / "small.pt"))).evaluation.sample_count > 0


TENSORS: dict[str, tuple[Callable[[], torch.Tensor], str]] = {
    "sparse": (lambda: torch.eye(4).to_sparse(), "layout sparse_coo"),
    "meta": (lambda: torch.zeros(4, 3, device="meta"), "without values"),
    "float8": (lambda: torch.zeros(4, 3).to(torch.float8_e4m3fn), "type float8_e4m3fn"),
    "quantized": (lambda: torch.quantize_per_tensor(torch.zeros(4, 3), 0.1, 0, torch.quint8), "type quint8"),
}


@pytest.mark.parametrize("kind", TENSORS)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_arrays_of_numbers(kind: str, tmp_path: Path) -> None:
    make, words = TENSORS[kind]
    torch.save(make(), tmp_path / "x.pt")
    error = refusal(tmp_path / "x.pt")
    assert words in error.message
    assert error.at == str(tmp_path / "x.pt")


def test_an_image_of_169_million_pixels_is_not_decoded(tmp_path: Path) -> None:
    import resource

    Image.new("P", (13_000, 13_000)).save(tmp_path / "a.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.warns(Image.DecompressionBombWarning):
        error = refusal(tmp_path)
    assert f"13000x13000 pixels (width x height), more than the {PIXELS_MAX:,} that are decoded" in error.message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_label_beyond_64_bits_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(f"file,label\na.png,{2**70}\n")
    assert "line 2" in str(refusal(tmp_path).at)


def test_values_that_are_not_those_that_were_saved(tmp_path: Path) -> None:
    """torch's reader does not compare the checksum of a member with its content."""
    path = tmp_path / "images.pt"
    torch.save({"inputs": torch.arange(192.0).reshape(1, 3, 8, 8)}, path)
    whole = path.read_bytes()
    stored = torch.arange(192.0).numpy().tobytes()
    path.write_bytes(whole.replace(stored, bytes(len(stored))))
    assert float(torch.load(path)["inputs"].abs().max()) == 0.0, "torch reads zeros"
    assert "its member images/data/0 is not what was saved" in refusal(path).message
    path.write_bytes(whole)
    assert open_datasets(DataRequest(str(path))).evaluation.sample_count == 1
