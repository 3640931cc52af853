"""Targets of every kind reach the user's metric, sample by sample, and what cannot be used ends in exit code 2."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qdiag.cli.app import run

COUNT, SIZE = 20, 16

NETWORK = """
import torch
from torch import nn


class Numbers(nn.Module):
    '''Three numbers of an image.'''

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))


class Pixels(nn.Module):
    '''Four classes for every pixel.'''

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.head(self.conv(x).relu())
"""

METRICS = """
from pathlib import Path

import torch

SEEN = Path(__file__).with_name("seen.txt")


def note(words):
    with SEEN.open("a") as file:
        file.write(words + "\\n")


def closeness(outputs, targets):
    note(f"{targets.dtype} {tuple(targets.shape[1:])}")
    return -(outputs - targets).abs().mean(1)


def pixel_accuracy(outputs, targets):
    note(f"{targets.dtype} {tuple(targets.shape[1:])}")
    return (outputs.argmax(1) == targets).float().mean((1, 2))


def boxes(outputs, targets):
    for entry in targets:
        note(f"{entry['boxes'].tolist()} {entry['labels'].tolist()}")
    return torch.tensor([float(len(entry["boxes"])) for entry in targets]) + 0 * outputs[:, 0]


def texts(outputs, targets):
    note(" ".join(targets))
    return torch.tensor([float(len(text)) for text in targets]) + 0 * outputs[:, 0]
"""

FACTORY = """
import torch


def boxes_of(index):
    count = index % 3
    return {"boxes": torch.full((count, 4), float(index)), "labels": torch.full((count,), index)}


def detections(bad=None):
    generator = torch.Generator().manual_seed(0)
    for start in range(0, 20, 8):
        indices = range(start, min(start + 8, 20))
        targets = [boxes_of(index) for index in indices]
        if bad in indices:
            targets[bad - start] = {"boxes": torch.zeros(2, 4), "labels": torch.zeros(3)}
        yield torch.randn(len(indices), 3, 16, 16, generator=generator), targets


def malformed():
    return detections(bad=9)


def too_few():
    for inputs, targets in detections():
        yield inputs, targets[:-1]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("net.py", NETWORK), ("metrics.py", METRICS), ("data.py", FACTORY)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pictures() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((COUNT, 3, SIZE, SIZE)).astype(np.float32)


def measured(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The header says that the data are labelled; what the metric has seen of the float network's targets."""
    assert run(["sqnr", *words, "--quiet", "--batch-size", "7"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert " measured, labelled" in " ".join(captured.out.split())
    seen = Path("seen.txt")
    return seen.read_text().splitlines() if seen.exists() else []


def test_floats_in_npz(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    targets = np.arange(COUNT * 3, dtype=np.float64).reshape(COUNT, 3)
    np.savez("data.npz", images=pictures(), targets=targets)
    line = ["./net.py:Numbers", "--data", "data.npz"]
    assert measured(line, capsys) == []
    assert set(measured([*line, "--metric", "./metrics.py:closeness"], capsys)) == {"torch.float64 (3,)"}


def test_masks_in_npz(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = np.random.default_rng(1).integers(0, 4, (COUNT, SIZE, SIZE), dtype=np.uint8)
    np.savez("data.npz", images=pictures(), labels=masks)
    line = ["./net.py:Pixels", "--data", "data.npz"]
    assert measured(line, capsys) == []
    assert set(measured([*line, "--metric", "./metrics.py:pixel_accuracy"], capsys)) == {"torch.uint8 (16, 16)"}


def photos(folder: Path, height: int = 20, width: int = 24) -> None:
    rng = np.random.default_rng(2)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for index in range(COUNT):
        picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{index:02}.jpg")
        mask = rng.integers(0, 4, (height, width), dtype=np.uint8)
        Image.fromarray(mask).save(folder / "masks" / f"{index:02}.png")


@pytest.mark.parametrize("words", [["photos"], ["photos/images", "--targets", "photos/masks"]])
def test_masks_beside_images(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(folder / "photos")
    line = ["./net.py:Pixels", "--data", *words, "--resize", "18", "--crop", "16"]
    assert set(measured([*line, "--metric", "./metrics.py:pixel_accuracy"], capsys)) == {"torch.uint8 (16, 16)"}


def test_boxes_of_a_factory_reach_the_metric(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["./net.py:Numbers", "--data", "./data.py:detections", "--metric", "./metrics.py:boxes"]
    seen = measured(line, capsys)
    expected = {f"{[[float(i)] * 4] * (i % 3)} {[i] * (i % 3)}" for i in range(COUNT)}
    assert set(seen) <= expected and len(set(seen)) >= 8


def test_boxes_in_json_reach_the_metric(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(folder / "photos", SIZE, SIZE)
    boxes = {f"{i:02}.jpg": [{"box": [0, 1, 2, 3], "label": i}] * (i % 2) for i in range(COUNT)}
    (folder / "truth.json").write_text(json.dumps(boxes))
    line = ["./net.py:Numbers", "--data", "photos/images", "--targets", "truth.json"]
    seen = set(measured([*line, "--metric", "./metrics.py:boxes"], capsys))
    assert "[] []" in seen and "[[0.0, 1.0, 2.0, 3.0]] [" in " ".join(seen)


def test_texts_of_a_table_reach_the_metric(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(folder / "photos", SIZE, SIZE)
    lines = ["file,text", *(f"{i:02}.jpg,word{i}" for i in range(COUNT))]
    (folder / "photos" / "images" / "labels.csv").write_text("\n".join(lines))
    line = ["./net.py:Numbers", "--data", "photos/images", "--metric", "./metrics.py:texts"]
    assert "word1" in " ".join(measured(line, capsys))


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["sqnr", *words, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error = " ".join(captured.err.split())
    assert "where:" in error and "hint:" in error
    return error


def test_what_cannot_be_used_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(folder / "photos")
    (folder / "photos" / "masks" / "07.png").unlink()
    error = refused(["./net.py:Pixels", "--data", "photos"], capsys)
    assert "there is no mask for the image images/07.jpg" in error and "07.png" in error
    (folder / "truth.json").write_text(
        json.dumps({f"{i:02}.jpg": [{"box": [5, 5, 2, 9], "label": 1}] for i in range(20)})
    )
    error = refused(["./net.py:Pixels", "--data", "photos/images", "--targets", "truth.json"], capsys)
    assert "box [5, 5, 2, 9] ends before it begins" in error and "truth.json, 00.jpg, box 0" in error
    error = refused(["./net.py:Numbers", "--data", "./data.py:malformed"], capsys)
    assert "3 labels for 2 boxes" in error and "data.py:malformed, batch 1, targets of sample 1" in error
    error = refused(["./net.py:Numbers", "--data", "./data.py:too_few"], capsys)
    assert "7 labels for 8 samples" in error and "data.py:too_few, batch 0" in error
    np.savez("data.npz", images=pictures(), labels=np.zeros((COUNT - 1, SIZE, SIZE), np.uint8))
    error = refused(["./net.py:Pixels", "--data", "data.npz"], capsys)
    assert "19 labels for 20 samples" in error and "data.npz" in error
    error = refused(["./net.py:Pixels", "--data", "data.npz", "--targets", "photos/masks"], capsys)
    assert "no folder of images" in error and "photos/masks" in error
