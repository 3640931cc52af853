"""JPEG files inside an `.npz`: the same pixels as from a folder, and what is refused."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from qdiag.errors import DataError
from qdiag.loaders.data.samples import Reading
from qdiag.loaders.data.sources import DataRequest, open_datasets, read_stored

LABELS = np.arange(10) % 3


def files(count: int = 10, size: tuple[int, int] = (9, 7)) -> list[bytes]:
    rng, made = np.random.default_rng(2), []
    for _ in range(count):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(stream, "JPEG", quality=90)
        made.append(stream.getvalue())
    return made


def archive(path: Path, stored: list[bytes], **others: np.ndarray) -> str:
    offsets = np.concatenate([[0], np.cumsum([len(file) for file in stored])])
    arrays = {"jpeg": np.frombuffer(b"".join(stored), np.uint8), "offsets": offsets, "labels": LABELS, **others}
    np.savez(path, **arrays)
    return str(path)


def test_pixels_and_labels_are_those_of_the_same_files_in_a_folder(tmp_path: Path) -> None:
    stored = files()
    found = read_stored(archive(tmp_path / "data.npz", stored), Reading()).samples
    (tmp_path / "folder").mkdir()
    for index, content in enumerate(stored):
        (tmp_path / "folder" / f"{index:02d}.jpg").write_bytes(content)
    apart = read_stored(str(tmp_path / "folder"), Reading()).samples
    own, other = (torch.cat([b.args[0] for b in s.batches(range(10), 4)]) for s in (found, apart))
    assert own.shape == (10, 3, 9, 7) and torch.equal(own, other)
    assert torch.cat([b.labels for b in found.batches([7, 2], 1)]).tolist() == [1, 2]
    assert found.name(3) == "jpeg[3]" and found.is_labelled


def test_the_digest_tells_files_and_labels_apart(tmp_path: Path) -> None:
    def digest(name: str, stored: list[bytes], labels: np.ndarray) -> str:
        request = DataRequest(archive(tmp_path / name, stored, labels=labels))
        return open_datasets(request).evaluation.digest()

    stored = files()
    first = digest("a.npz", stored, LABELS)
    assert first == digest("b.npz", stored, LABELS)
    assert first != digest("c.npz", stored[::-1], LABELS) and first != digest("d.npz", stored, LABELS[::-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jpeg": np.zeros((4, 4), np.uint8)}, "no row of bytes"),
        ({"jpeg": np.zeros(4, np.int16)}, "no row of bytes"),
        ({"offsets": np.array([0.0, 4.0])}, "holds no places"),
        ({"offsets": np.array([0])}, "holds no places"),
        ({"offsets": np.array([0, 5])}, "does not divide"),
        ({"offsets": np.array([-3, 2**62])}, "does not divide"),
        ({"labels": np.arange(3)}, "3 labels|labels"),
    ],
)
def test_arrays_that_are_no_files_are_refused(changes: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    reference = archive(tmp_path / "data.npz", files(), **changes)
    with pytest.raises(DataError, match=message):
        read_stored(reference, Reading())


def test_offsets_that_fall_are_refused(tmp_path: Path) -> None:
    stored = files()
    total = sum(map(len, stored))
    offsets = np.linspace(0, total, 11).astype(np.int64)
    offsets[4], offsets[5] = offsets[5], offsets[4]
    with pytest.raises(DataError, match="does not divide"):
        read_stored(archive(tmp_path / "data.npz", stored, offsets=offsets), Reading())


def test_a_file_that_is_no_jpeg_is_named(tmp_path: Path) -> None:
    stored = files()
    png = io.BytesIO()
    Image.new("RGB", (7, 9)).save(png, "PNG")
    for index, content in ((4, b"nothing"), (6, png.getvalue()), (8, stored[8][:200])):
        broken = [*stored[:index], content, *stored[index + 1 :]]
        samples = read_stored(archive(tmp_path / f"{index}.npz", broken), Reading()).samples
        with pytest.raises(DataError, match=rf"jpeg\[{index}\] is no JPEG file"):
            list(samples.batches(range(10), 3))


def test_images_of_two_sizes_are_refused(tmp_path: Path) -> None:
    stored = [*files(9), *files(1, (7, 9))]
    samples = read_stored(archive(tmp_path / "data.npz", stored), Reading()).samples
    with pytest.raises(DataError, match=r"jpeg\[9\] is 7x9, but jpeg\[0\] is 9x7"):
        list(samples.batches(range(10), 5))
