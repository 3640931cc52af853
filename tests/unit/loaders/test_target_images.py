"""Folders of images with masks, boxes, floats and texts, and what preprocessing does to them."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from qdiag.batches import Batch
from qdiag.errors import DataError
from qdiag.loaders.data.samples import Reading
from qdiag.loaders.data.sources import DataRequest, open_datasets, read_stored
from qdiag.loaders.images.geometry import moved_boxes, moved_mask
from qdiag.loaders.images.preprocessing import Preprocessing
from qdiag.targets import joined_targets, shape_of_targets

RNG = np.random.default_rng(3)


def image(path: Path, height: int = 8, width: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


def mask(path: Path, height: int = 8, width: int = 10, mode: str = "L") -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = RNG.integers(0, 5, (height, width), dtype=np.uint8)
    made = Image.fromarray(values)
    if mode == "P":
        made = Image.fromarray(values, mode="L").convert("P")
        made.putdata(values.flatten().tolist())
        made.putpalette(list(range(255, -1, -1)) * 3)
    elif mode == "1":
        values = values > 2
        made = Image.fromarray(values)
    elif mode == "I;16":
        values = values.astype(np.uint16) * 300
        made = Image.fromarray(values)
    elif mode == "RGB":
        made = Image.fromarray(np.repeat(values[..., None], 3, axis=-1))
    made.save(path)
    return values


def everything(folder: Path, targets: Path | None = None, how: Preprocessing | None = None) -> list[Batch]:
    reading = Reading(how, targets=None if targets is None else str(targets))
    samples = read_stored(str(folder), reading).samples
    return list(samples.batches(range(samples.sample_count), 2))


def whole(folder: Path, targets: Path | None = None, how: Preprocessing | None = None) -> Any:
    return joined_targets([batch.labels for batch in everything(folder, targets, how)])


@pytest.mark.parametrize("layout", ["beside", "inside", "given"])
def test_masks_are_paired_by_name(tmp_path: Path, layout: str) -> None:
    images, masks, data = {
        "beside": (tmp_path / "images", tmp_path / "masks", tmp_path),
        "inside": (tmp_path, tmp_path / "masks", tmp_path),
        "given": (tmp_path / "photos", tmp_path / "truth", tmp_path / "photos"),
    }[layout]
    expected = []
    for name in ("c", "a", "b"):
        image(images / f"{name}.jpg")
        expected.append((name, mask(masks / f"{name}.png")))
    mask(masks / "unused.png")
    found = whole(data, masks if layout == "given" else None)
    assert found.dtype == torch.uint8
    assert np.array_equal(found.numpy(), np.stack([values for _, values in sorted(expected, key=lambda pair: pair[0])]))
    (samples, given) = (read_stored(str(data), Reading(targets=str(masks))).samples, str(masks))
    assert samples.is_labelled and samples.source == f"{data} (targets: {given})"


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16", "RGB"])
def test_masks_hold_their_values_whatever_their_mode(tmp_path: Path, mode: str) -> None:
    image(tmp_path / "images" / "a.png")
    values = mask(tmp_path / "masks" / "a.png", mode=mode)
    found = whole(tmp_path)
    assert shape_of_targets(found) == "mask (1, 8, 10)"
    assert np.array_equal(found[0].numpy(), values)


def test_masks_in_sub_folders_follow_the_images(tmp_path: Path) -> None:
    expected = []
    for name in ("x/a", "y/a"):
        image(tmp_path / "photos" / f"{name}.png")
        expected.append(mask(tmp_path / "truth" / f"{name}.png"))
    assert np.array_equal(whole(tmp_path / "photos", tmp_path / "truth").numpy(), np.stack(expected))


@pytest.mark.parametrize("is_given", [True, False])
def test_both_parts_of_a_split_have_their_masks(tmp_path: Path, is_given: bool) -> None:
    expected = {}
    for part in ("calib", "eval"):
        if is_given:
            image(tmp_path / "photos" / part / "a.png")
            expected[part] = mask(tmp_path / "truth" / part / "a.png")
        else:
            image(tmp_path / "photos" / part / "images" / "a.png")
            expected[part] = mask(tmp_path / "photos" / part / "masks" / "a.png")
    targets = str(tmp_path / "truth") if is_given else None
    datasets = open_datasets(DataRequest(str(tmp_path / "photos"), targets=targets))
    for part, batches in (("calib", datasets.calibration), ("eval", datasets.evaluation)):
        (batch,) = batches
        assert np.array_equal(batch.labels[0].numpy(), expected[part])


def test_classes_called_images_and_masks_elsewhere_stay_classes(tmp_path: Path) -> None:
    for name in ("hats/a.png", "masks/b.png"):
        image(tmp_path / name)
    assert whole(tmp_path).tolist() == [0, 1]


def test_masks_move_as_their_images_do(tmp_path: Path) -> None:
    how = Preprocessing(resize=16, crop=12)
    size = (9, 14)
    image(tmp_path / "images" / "a.png", *size)
    values = mask(tmp_path / "masks" / "a.png", *size)
    (batch,) = everything(tmp_path, how=how)
    assert batch.args[0].shape == (1, 3, 12, 12) and batch.labels.shape == (1, 12, 12)
    # nearest: the pixel of the stored mask under the centre of each pixel; 9x14 becomes 16x24, cropped at 2 and 6
    rows = ((np.arange(16) + 0.5) * 9 / 16).astype(int)[2:14]
    columns = ((np.arange(24) + 0.5) * 14 / 24).astype(int)[6:18]
    assert np.array_equal(batch.labels[0].numpy(), values[rows][:, columns])


def test_a_mask_drawn_as_an_image_moves_as_the_image() -> None:
    picture = np.zeros((9, 14), np.uint8)
    picture[3:7, 5:11] = 255
    how = Preprocessing(resize=36, crop=30, channels=1)
    moved = moved_mask(picture, how)
    drawn = how.pixels(Image.fromarray(picture))[..., 0]
    assert np.array_equal(moved[drawn == 255] == 255, np.ones((drawn == 255).sum(), bool))
    assert (np.abs(moved.astype(int) - drawn) > 128).mean() < 0.02


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int32, bool])
@pytest.mark.parametrize(("size", "resize"), [((9, 14), 16), ((31, 17), 12), ((8, 8), 8), ((5, 40), 23)])
def test_masks_of_any_type_are_resized_as_pillow_resizes_bytes(dtype: Any, size: tuple[int, int], resize: int) -> None:
    values = RNG.integers(0, 2, size, dtype=np.uint8)
    height, width = (
        (resize, int(resize * size[1] / size[0]))
        if size[0] <= size[1]
        else (
            int(resize * size[0] / size[1]),
            resize,
        )
    )
    expected = np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.NEAREST))
    found = moved_mask(values.astype(dtype), Preprocessing(resize=resize))
    assert found.dtype == dtype and np.array_equal(found, expected.astype(dtype))


@pytest.mark.parametrize("layout", ["nhwc", "nchw", "nhw"])
def test_masks_and_boxes_of_arrays_move_as_the_pixels_do(tmp_path: Path, layout: str) -> None:
    """A mask that is drawn into the pixels stays where it is drawn."""
    drawn = np.zeros((4, 9, 14), np.uint8)
    drawn[:, 3:7, 5:11] = 1
    pixels = {"nhwc": np.repeat(drawn[..., None], 3, -1), "nchw": np.repeat(drawn[:, None], 3, 1), "nhw": drawn}[layout]
    counts = np.ones(4, np.int64)
    boxes = {"y.boxes": np.tile([5.0, 3, 11, 7], (4, 1)), "y.labels": counts, "y.counts": counts}
    floats = RNG.normal(size=(4, 9, 14)).astype(np.float32)
    how = Preprocessing(resize=36, crop=30)
    for name, targets in {
        "mask": {"y": drawn},
        "channel": {"y": drawn[:, None]},
        "tree": {"y.mask": drawn.astype(np.int64), "y.depth": floats},
        "boxes": boxes,
    }.items():
        np.savez(tmp_path / "data.npz", images=pixels * 255, **targets)
        samples = read_stored(str(tmp_path / "data.npz"), Reading(how)).samples
        (batch,) = samples.batches(range(4), 4)
        inside = batch.args[0][:, 0] > 0.5
        if name == "boxes":
            rows, columns = np.nonzero(inside[0].numpy())
            edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.allclose(batch.labels[0]["boxes"][0].numpy(), edges, atol=1.0)
            continue
        found = batch.labels["mask"] if name == "tree" else batch.labels
        assert found.shape == ((4, 1, 30, 30) if name == "channel" else (4, 30, 30))
        assert (found.reshape(4, 30, 30).bool() != inside).float().mean() < 0.02
        assert name != "tree" or torch.equal(batch.labels["depth"], torch.from_numpy(floats))


SIMPLE = {
    "a.png": [{"box": [1, 2, 5, 6], "label": 3}, {"box": [0.5, 0, 10, 8], "label": 0, "score": 1}],
    "b.png": [],
    "other.png": [{"box": "not looked at"}],
}
COCO = {
    "images": [{"id": 7, "file_name": "a.png"}, {"id": "x", "file_name": "b.png"}],
    "annotations": [
        {"id": 1, "image_id": 7, "bbox": [1, 2, 4, 4], "category_id": 3},
        {"id": 2, "image_id": 7, "bbox": [0.5, 0, 9.5, 8], "category_id": 0, "iscrowd": 1},
    ],
    "categories": [{"id": 3, "name": "cat"}],
}


def two_images(folder: Path) -> None:
    image(folder / "a.png")
    image(folder / "b.png")


@pytest.mark.parametrize("content", [SIMPLE, COCO])
@pytest.mark.parametrize("place", ["beside", "given", "sub-folder"])
def test_boxes_are_read_from_json(tmp_path: Path, content: dict[str, Any], place: str) -> None:
    data = tmp_path / "photos"
    two_images(data / "val" if place == "sub-folder" else data)
    file = tmp_path / "truth.json" if place == "given" else data / "boxes.json"
    file.write_text(json.dumps(content))
    first, second = whole(data, file if place == "given" else None)
    assert first["boxes"].tolist() == [[1, 2, 5, 6], [0.5, 0, 10, 8]] and first["boxes"].dtype == torch.float32
    assert first["labels"].tolist() == [3, 0]
    assert second["boxes"].shape == (0, 4) and second["labels"].shape == (0,) and second["labels"].dtype == torch.int64
    assert ("iscrowd" in first) == (content is COCO)
    assert content is SIMPLE or first["iscrowd"].tolist() == [0, 1]


def test_boxes_move_as_their_images_do(tmp_path: Path) -> None:
    """Filled rectangles that are drawn, resized and cropped lie where the boxes say."""
    how = Preprocessing(resize=40, crop=36, channels=1)
    height, width = 20, 30
    boxes = torch.tensor([[6.0, 3, 12, 10], [20, 1, 30, 19], [0, 0, 4, 20], [0, 0, 30, 20]])
    entry = {"boxes": boxes, "labels": torch.arange(4), "iscrowd": torch.tensor([0, 1, 0, 1])}
    moved = moved_boxes(entry, height, width, how)
    assert moved["labels"].tolist() == [0, 1, 3] and moved["iscrowd"].tolist() == [0, 1, 1]
    for box, label in zip(moved["boxes"], moved["labels"], strict=True):
        x1, y1, x2, y2 = (int(value) for value in boxes[label])
        picture = np.zeros((height, width), np.uint8)
        picture[y1:y2, x1:x2] = 255
        rows, columns = np.nonzero(how.pixels(Image.fromarray(picture))[..., 0] > 127)
        drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.allclose(box.numpy(), drawn, atol=1.0)
    assert moved_boxes(entry, height, width, Preprocessing())["boxes"].tolist() == boxes.tolist()
    (tmp_path / "boxes.json").write_text(json.dumps({"a.png": [{"box": [2, 2, 4, 4], "label": 1}]}))
    image(tmp_path / "a.png", 8, 12)
    (found,) = whole(tmp_path, how=Preprocessing(resize=16, crop=16))
    assert found["boxes"].tolist() == [[0, 4, 4, 8]]


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("file,target_x,target_y\na.png,1,2.5\nb.png,-3e1,0\n", "floats (2, 2)", [[1, 2.5], [-30, 0]]),
        ("file,target,split\na.png,1,eval\nb.png,2,eval\n", "floats (2,)", [1, 2]),
        ("file,split,x,y,radius\na.png,eval,1,2.5,3\nb.png,eval,4,5,6\n", "floats (2, 3)", [[1, 2.5, 3], [4, 5, 6]]),
        ('file,text\na.png,"hello, you"\nb.png,\n', "texts of 2 samples", ["hello, you", ""]),
        ("file,label,target_x,text\na.png,4,1,x\nb.png,0,1,x\n", "classes (2,)", [4, 0]),
    ],
)
def test_columns_of_labels_csv(tmp_path: Path, text: str, words: str, expected: list[Any]) -> None:
    two_images(tmp_path)
    (tmp_path / "labels.csv").write_text(text)
    found = whole(tmp_path)
    assert shape_of_targets(found) == words
    assert (found if isinstance(found, list) else found.tolist()) == expected


@pytest.mark.parametrize("text", ["file,wnid,width\na.png,n01,10\nb.png,n02,10\n", "file\na.png\nb.png\n"])
def test_columns_of_which_some_hold_no_numbers_are_no_targets(tmp_path: Path, text: str) -> None:
    two_images(tmp_path)
    (tmp_path / "labels.csv").write_text(text)
    assert whole(tmp_path) is None
    assert "no column label, target or text" in read_stored(str(tmp_path), Reading()).samples.source


def test_labels_csv_gives_the_split_and_a_folder_the_masks(tmp_path: Path) -> None:
    two_images(tmp_path)
    masks = {name: mask(tmp_path / "masks" / f"{name}.png") for name in ("a", "b")}
    (tmp_path / "labels.csv").write_text("file,split\na.png,eval\nb.png,calib\n")
    datasets = open_datasets(DataRequest(str(tmp_path)))
    assert np.array_equal(next(iter(datasets.evaluation)).labels[0].numpy(), masks["a"])
    assert np.array_equal(next(iter(datasets.calibration)).labels[0].numpy(), masks["b"])
    (tmp_path / "labels.csv").write_text("file,label\na.png,1\nb.png,0\n")
    assert whole(tmp_path).tolist() == [1, 0]
    assert shape_of_targets(whole(tmp_path, tmp_path / "masks")) == "mask (2, 8, 10)"


def test_the_digest_follows_masks_and_boxes(tmp_path: Path) -> None:
    two_images(tmp_path)
    for name in ("a", "b"):
        mask(tmp_path / "masks" / f"{name}.png")
    digests = [open_datasets(DataRequest(str(tmp_path))).evaluation.digest() for _ in range(2)]
    mask(tmp_path / "masks" / "b.png")
    digests.append(open_datasets(DataRequest(str(tmp_path))).evaluation.digest())
    file = tmp_path / "truth.json"
    for content in (SIMPLE, SIMPLE | {"b.png": [{"box": [0, 0, 1, 1], "label": 1}]}):
        file.write_text(json.dumps(content))
        digests.append(open_datasets(DataRequest(str(tmp_path), targets=str(file))).evaluation.digest())
    assert digests[0] == digests[1] and len(set(digests)) == 4


def changed(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"a.png": [SIMPLE["a.png"][0], entry | changes], "b.png": []}


GOOD = {"box": [1, 2, 5, 6], "label": 3}


@pytest.mark.parametrize(
    ("content", "words", "place"),
    [
        ("{", "cannot be read as JSON", ""),
        ("[" * 100_000, "cannot be read as JSON", ""),
        ([1], "it holds a list, no object", ""),
        ({"a.png": []}, "it lists no image b.png", ""),
        ({"x/a.png": [], "y/a.png": [], "b.png": []}, "it lists several images a.png", ""),
        ({"a.png": {}, "b.png": []}, "its boxes are a dict, no list", ", a.png"),
        ({"a.png": [[1, 2, 5, 6]], "b.png": []}, "it is a list, no object", ", a.png, box 0"),
        ({"a.png": [{"label": 1}], "b.png": []}, "it has no box", ", a.png, box 0"),
        ({"a.png": [{"box": [0, 0, 1, 1]}], "b.png": []}, "it has no label", ", a.png, box 0"),
        (changed(GOOD, box=[1, 2, 3]), r"box \[1, 2, 3\] is not four numbers", ", a.png, box 1"),
        (changed(GOOD, box=[1, 2, 3, "4"]), "is not four numbers", ", a.png, box 1"),
        (changed(GOOD, box=[1, 2, 3, float("nan")]), "is not four numbers", ", a.png, box 1"),
        (changed(GOOD, box=[5, 2, 3, 4]), r"box \[5, 2, 3, 4\] ends before it begins", ", a.png, box 1"),
        (changed(GOOD, label=-1), "label -1 is no class number", ", a.png, box 1"),
        (changed(GOOD, label="cat"), "label 'cat' is no class number", ", a.png, box 1"),
        (changed(GOOD, label=True), "label True is no class number", ", a.png, box 1"),
        (COCO | {"images": [{"id": 7}]}, "an image without file_name and id", ", image 0"),
        (COCO | {"images": COCO["images"][:1]}, "it lists no image b.png", ""),
        (COCO | {"annotations": [{"image_id": 8}]}, "image_id 8 belongs to no image", ", annotation 0"),
        (COCO | {"annotations": [{"image_id": 7}]}, "it has no bbox", ", a.png, box 0"),
        (
            COCO | {"annotations": [{"image_id": 7, "bbox": [1, 2, -3, 4], "category_id": 1}]},
            "has a negative size",
            ", a.png, box 0",
        ),
    ],
)
def test_boxes_that_are_none_are_named(tmp_path: Path, content: Any, words: str, place: str) -> None:
    two_images(tmp_path)
    file = tmp_path / "boxes.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=words) as refusal:
        everything(tmp_path)
    assert refusal.value.at == f"{file}{place}" and refusal.value.hint


def test_a_fifo_is_no_file_of_boxes(tmp_path: Path) -> None:
    two_images(tmp_path)
    os.mkfifo(tmp_path / "truth.json")
    with pytest.raises(DataError, match="it is a FIFO, and only regular files are read"):
        everything(tmp_path, tmp_path / "truth.json")


def test_masks_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    two_images(tmp_path / "images")
    masks = tmp_path / "masks"
    mask(masks / "a.png")

    def refused(words: str) -> DataError:
        with pytest.raises(DataError, match=words) as refusal:
            everything(tmp_path)
        assert refusal.value.hint
        return refusal.value

    assert "b.png" in (refused(r"no mask for the image images/b\.png").hint or "")
    mask(masks / "b.png", 8, 12)
    assert refused(r"8x10, but masks/b\.png is 8x12").at == str(masks / "a.png")
    Image.fromarray(RNG.integers(0, 256, (8, 10, 3), dtype=np.uint8)).save(masks / "b.png")
    assert refused(r"holds colours \(Pillow mode RGB\), no class numbers").at == str(masks / "b.png")
    (masks / "b.png").write_bytes(b"not an image")
    assert refused("the mask cannot be read").at == str(masks / "b.png")
    mask(masks / "b.tif")
    assert refused(r"two masks for the image images/b\.png: b\.png and b\.tif").at == str(masks)
    (masks / "b.png").unlink()
    assert len(everything(tmp_path)) == 1
    (tmp_path / "boxes.json").write_text("{}")
    refused("both masks and boxes.json could be the targets")


@pytest.mark.parametrize(
    ("text", "words", "at"),
    [
        ("file,target_x\na.png,1\nb.png,high\n", "target_x 'high' is no finite number", "labels.csv, line 3"),
        ("file,target_x\na.png,nan\n", "target_x 'nan' is no finite number", "labels.csv, line 2"),
        ("file,target_x,target_y\na.png,1\n", "target_y '' is no finite number", "labels.csv, line 2"),
        ("file,x,y\na.png,1,2\nb.png,3,\n", "y '' is no finite number", "labels.csv, line 3"),
        ("file,target,text\na.png,1,x\n", "both target and text could be the labels", "labels.csv"),
    ],
)
def test_columns_that_cannot_be_used(tmp_path: Path, text: str, words: str, at: str) -> None:
    two_images(tmp_path)
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=words) as refusal:
        everything(tmp_path)
    assert str(refusal.value.at).endswith(at) and refusal.value.hint


def test_targets_that_are_neither_masks_nor_boxes(tmp_path: Path) -> None:
    two_images(tmp_path / "photos")
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 3, 8, 8), np.float32))
    (tmp_path / "truth.csv").write_text("file,label\n")
    for data, targets, words in (
        ("photos", "missing", "no such file or folder"),
        ("photos", "truth.csv", "targets of images are a folder or a .json file"),
        ("x.npz", "photos", "the data are no folder of images"),
    ):
        with pytest.raises(DataError, match=words) as refusal:
            open_datasets(DataRequest(str(tmp_path / data), targets=str(tmp_path / targets)))
        assert refusal.value.at == str(tmp_path / targets) and refusal.value.hint
