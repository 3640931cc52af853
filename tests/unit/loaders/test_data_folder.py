"""Image folders: three arrangements, memory, and what is refused by name."""

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from qdiag.errors import DataError
from qdiag.loaders.data.samples import Reading
from qdiag.loaders.data.sources import DataRequest, open_datasets, read_stored
from qdiag.loaders.data.split import seeded_order
from qdiag.loaders.images import images
from qdiag.loaders.images.preprocessing import PRESETS, Preprocessing

RNG = np.random.default_rng(2)


def save(path: Path, height: int = 8, width: int = 10) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def csv(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.csv").write_text(text)


def open_all(folder: Path, reading: Reading | None = None) -> tuple[torch.Tensor, list[int] | None]:
    samples = read_stored(str(folder), reading or Reading()).samples
    batches = list(samples.batches(range(samples.sample_count), 4))
    labels = torch.cat([batch.labels for batch in batches if batch.labels is not None]) if samples.is_labelled else None
    return torch.cat([batch.args[0] for batch in batches]), None if labels is None else labels.tolist()


def test_class_folders_are_numbered_in_the_order_of_their_names(tmp_path: Path) -> None:
    pixels = [save(tmp_path / name) for name in ("cat/a.png", "cat/b.PNG", "dog/a.bmp", "eel/z.ppm")]
    (tmp_path / "cat" / ".hidden.png").write_bytes(b"")
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    tensor, labels = open_all(tmp_path)
    assert labels == [0, 0, 1, 2]
    assert torch.equal(tensor, PRESETS["none"].apply_batch(np.stack(pixels)))


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    pixels = [save(tmp_path / name) for name in ("a.png", "b.png")]
    (tmp_path / "empty").mkdir()
    tensor, labels = open_all(tmp_path)
    assert labels is None and torch.equal(tensor, PRESETS["none"].apply_batch(np.stack(pixels)))


def test_labels_csv_gives_order_labels_and_split(tmp_path: Path) -> None:
    pixels = {name: save(tmp_path / name) for name in ("x/a.png", "b.png", "c.png")}
    csv(tmp_path, "\ufefffile, label,wnid,split\nx/a.png,7,n01,eval\nb.png,3,n02,calib\nc.png,0,n03,eval\n")
    datasets = open_datasets(DataRequest(str(tmp_path)))
    (batch,) = datasets.evaluation
    assert batch.labels is not None and batch.labels.tolist() == [7, 0]
    expected = PRESETS["none"].apply_batch(np.stack([pixels["x/a.png"], pixels["c.png"]]))
    assert torch.equal(batch.args[0], expected)
    assert datasets.split == "the split column of labels.csv: the one sample to calibrate, all 2 measured"


def test_labels_csv_without_labels_or_with_one_part_only(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / name)
    csv(tmp_path, "file,split\na.png,eval\nb.png,eval\n")
    stored = read_stored(str(tmp_path), Reading())
    assert stored.calibration is None and stored.samples.sample_count == 2 and not stored.samples.is_labelled


def test_folders_calib_and_eval_are_a_split_not_two_classes(tmp_path: Path) -> None:
    for name in ("calib/cat/a.png", "eval/cat/b.png", "eval/dog/c.png"):
        save(tmp_path / name)
    datasets = open_datasets(DataRequest(str(tmp_path)))
    assert datasets.split == "folders calib and eval: the one sample to calibrate, all 2 measured"
    assert next(iter(datasets.evaluation)).labels is not None


def test_grey_images_reach_three_channels_or_one(tmp_path: Path) -> None:
    Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "a.png")
    assert open_all(tmp_path)[0].shape == (1, 3, 8, 8)
    assert open_all(tmp_path, Reading(input_shape=(1, 1, 8, 8)))[0].shape == (1, 1, 8, 8)
    assert open_all(tmp_path, Reading(Preprocessing(channels=1)))[0].shape == (1, 1, 8, 8)


@pytest.mark.usefixtures("only_new_objects_collected")
def test_images_are_decoded_once_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(4):
        save(tmp_path / f"{index}.png")
    monkeypatch.setattr(images, "_MOST_BYTES", 2 * 8 * 10 * 3)
    opened, read = list[str](), images._opened

    def reading(path: Path, *more: Any) -> Any:
        opened.append(path.name)
        return read(path, *more)

    monkeypatch.setattr(images, "_opened", reading)
    batches = open_datasets(DataRequest(str(tmp_path))).evaluation
    passes = [torch.cat([batch.args[0] for batch in batches]) for _ in range(3)]
    assert torch.equal(passes[0], passes[1]) and torch.equal(passes[0], passes[2])
    assert sorted(opened.count(f"{index}.png") for index in range(4)) == [1, 1, 3, 3]


def test_batches_are_freed_as_the_pass_goes_on(tmp_path: Path) -> None:
    for index in range(12):
        save(tmp_path / f"{index:02}.png")
    (evaluation := open_datasets(DataRequest(str(tmp_path), calib_data=str(tmp_path), batch_size=1)).evaluation)
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0
    for batch in evaluation:
        alive.append(weakref.ref(batch.args[0]))
        del batch
        gc.collect()
        most = max(most, sum(reference() is not None for reference in alive))
    assert len(alive) == 12 and most <= 2


def test_a_pass_left_early_can_be_started_again(tmp_path: Path) -> None:
    for index in range(9):
        save(tmp_path / f"{index}.png")
    batches = open_datasets(DataRequest(str(tmp_path), batch_size=2)).evaluation
    first = next(iter(batches)).args[0]
    assert torch.equal(next(iter(batches)).args[0], first)
    assert sum(batch.sample_count for batch in batches) == batches.sample_count == 7


def test_only_the_first_sample_of_each_part_is_decoded_at_the_door(tmp_path: Path) -> None:
    for index in range(4):
        save(tmp_path / f"{index}.png")
    bad = next(index for index in range(1, 4) if index != seeded_order(4, seed=0)[0])
    (tmp_path / f"{bad}.png").write_bytes(b"not an image")
    evaluation = open_datasets(DataRequest(str(tmp_path))).evaluation
    with pytest.raises(DataError, match=rf"{bad}\.png"):
        list(evaluation)


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match="cannot be read") as refusal:
        open_all(tmp_path)
    assert refusal.value.at == str(tmp_path / "b.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif", ".gif"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5])
def test_a_truncated_image_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"a{suffix}"
    save(path, 64, 64)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match="cannot be read") as refusal:
        open_all(tmp_path)
    assert refusal.value.at == str(path) and refusal.value.hint


def test_images_of_two_sizes_are_both_named(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 8, 10)
    for name in "bcdefg":
        save(tmp_path / f"{name}.png", 8, 10)
    save(tmp_path / "h.png", 12, 10)
    with pytest.raises(DataError, match=r"a.png: 8x10, but h.png is 12x10") as refusal:
        open_all(tmp_path)
    assert "`crop`" in (refusal.value.hint or "")
    assert open_all(tmp_path, Reading(Preprocessing(crop=8)))[0].shape == (8, 3, 8, 8)
    with pytest.raises(DataError, match="after preprocessing"):
        open_all(tmp_path, Reading(Preprocessing(resize=6)))


def test_a_crop_that_does_not_fit_names_the_image(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 8, 10)
    with pytest.raises(DataError, match="a crop of 9 does not fit into 8x10") as refusal:
        open_all(tmp_path, Reading(Preprocessing(crop=9)))
    assert refusal.value.at == str(tmp_path / "a.png")


def test_16_bit_images_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="more than 8 bits") as refusal:
        open_all(tmp_path)
    assert refusal.value.at == str(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no images in this folder"),
        (["notes.txt"], "no images in this folder"),
        (["train/cat/a.png", "val/cat/b.png"], "no images in this folder"),
        (["a.png", "cat/b.png"], r"images beside sub-folders with images \(a.png, cat/\)"),
        (["1/a.png", "2/b.png", "10/c.png"], "sorted by name 10 comes before 2"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path: Path, files: list[str], words: str) -> None:
    for file in files:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text") if path.suffix == ".txt" else save(path)
    with pytest.raises(DataError, match=words) as refusal:
        open_datasets(DataRequest(str(tmp_path)))
    assert refusal.value.at == str(tmp_path) and refusal.value.hint


def test_zero_padded_class_numbers_are_fine(tmp_path: Path) -> None:
    for name in ("01/a.png", "02/b.png", "10/c.png"):
        save(tmp_path / name)
    assert open_all(tmp_path)[1] == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "words", "at"),
    [
        ("", "the file is empty", "labels.csv"),
        ("name,label\na.png,1\n", "no column named file among name, label", "labels.csv"),
        ("file,label\n", "lists no images", "labels.csv"),
        ("file,label\na.png,cat\n", "label 'cat' is not a whole number", "labels.csv, line 2"),
        ("file,label\na.png,1.5\n", "label '1.5' is not a whole number", "labels.csv, line 2"),
        ("file,label\na.png\n", "the image has no label", "labels.csv, line 2"),
        ("file,label\na.png,1\nb.png,-3\n", "label -3 is negative", "labels.csv, line 3"),
        ("file,label,split\na.png,1,train\n", "split 'train' is neither calib nor eval", "labels.csv, line 2"),
        ("file,label\n../a.png,1\n", "lies outside the folder", "labels.csv, line 2"),
        ("file,label\n/etc/a.png,1\n", "lies outside the folder", "labels.csv, line 2"),
        ("file,label\n,1\n", "no file is named", "labels.csv, line 2"),
        ("file,label\na.png,1\na.png,1\n", "a.png is listed twice", "labels.csv"),
        ("file,label\nb.png,1\n", "the image does not exist", "b.png"),
    ],
)
def test_labels_csv_that_cannot_be_used(tmp_path: Path, text: str, words: str, at: str) -> None:
    save(tmp_path / "a.png")
    csv(tmp_path, text)
    with pytest.raises(DataError, match=words) as refusal:
        open_datasets(DataRequest(str(tmp_path)))
    assert (refusal.value.at or "").endswith(at)


def test_a_class_beyond_the_network_names_the_image(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    csv(tmp_path, "file,label\na.png,9\nb.png,10\n")
    open_datasets(DataRequest(str(tmp_path), class_count=11))
    with pytest.raises(DataError, match=r"label 10 of .*b.png is outside 0 to 9"):
        open_datasets(DataRequest(str(tmp_path), class_count=10))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 3, 8, 8), "inputs are 3x8x10, the network takes 3x8x8"),
        ((1, 7, 8, 10), r"inputs have 3 channels, and the network takes 7"),
        ((1, 240), "one input has shape 3x8x10, the network takes 240"),
    ],
)
def test_inputs_that_do_not_fit_the_network(tmp_path: Path, shape: tuple[int, ...], words: str) -> None:
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match=words) as refusal:
        open_datasets(DataRequest(str(tmp_path), input_shape=shape))
    assert refusal.value.hint


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Path) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", closed)  # whoever is root may read everything
    with pytest.raises(DataError, match="no permission to read it") as caught:
        read_stored(str(tmp_path), Reading(None, None))
    assert caught.value.at == str(tmp_path)
