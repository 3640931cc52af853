"""The examples about targets in docs/data.md do what is said of them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from qdiag.cli.app import run
from qdiag.loaders.data.samples import Reading
from qdiag.loaders.data.sources import read_stored
from qdiag.targets import kind_of_targets, shape_of_targets

PAGE = Path(__file__).resolve().parents[3] / "docs" / "data.md"
SECTION = PAGE.read_text(encoding="utf-8").partition("\n## Targets\n")[2].partition("\n## ")[0]


def block(mark: str) -> str:
    """The one example that holds these words."""
    found = [text for _, text in re.findall(r"^```(\w+)\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL) if mark in text]
    assert len(found) == 1
    return str(found[0])


def labels_of(path: Path) -> Any:
    samples = read_stored(str(path), Reading()).samples
    (batch,) = samples.batches(range(samples.sample_count), 100)
    return batch.labels


def test_every_example_is_run() -> None:
    assert len(re.findall(r"^```\w+\n", SECTION, re.MULTILINE)) == 5


def test_a_factory_and_its_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.py").write_text(block("def batches") + "\n\n" + block("def found"))
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n"
        "def make():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(784, 3))\n"
    )
    samples = read_stored("./data.py:batches", Reading()).samples
    first, *_ = samples.batches(range(samples.sample_count), 8)
    assert kind_of_targets(first.labels) == "boxes" and [len(entry["boxes"]) for entry in first.labels] == list(
        range(8)
    )
    assert run(["sqnr", "./net.py:make", "--data", "./data.py:batches", "--metric", "./data.py:found", "--quiet"]) == 0
    assert " measured, labelled" in " ".join(capsys.readouterr().out.split())


def test_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(block("np.savez"), {})
    shapes = {name: shape_of_targets(labels_of(Path(f"{name}.npz"))) for name in ("masks", "several", "boxes", "texts")}
    assert shapes == {
        "masks": "mask (3, 16, 16)",
        "several": "{mask: mask (3, 16, 16), depth: floats (3, 1)}",
        "boxes": "boxes of 3 samples",
        "texts": "texts of 3 samples",
    }
    boxes = labels_of(Path("boxes.npz"))
    assert [entry["labels"].tolist() for entry in boxes] == [[1], [], [3, 3]]
    torch.save((torch.zeros(3, 3, 16, 16), boxes), "data.pt")
    assert kind_of_targets(labels_of(Path("data.pt"))) == "boxes"


def test_folders_of_images(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (16, 16)).save(tmp_path / name)
    (tmp_path / "boxes.json").write_text(block('"box"'))
    assert [len(entry["boxes"]) for entry in labels_of(tmp_path)] == [2, 0]
    (tmp_path / "labels.csv").write_text(block("radius"))
    assert labels_of(tmp_path).tolist() == [[12.5, 8.0, 3.0], [4.0, 9.25, 2.5]]
    assert set(json.loads(block('"box"'))) == {"a.png", "b.png"}
