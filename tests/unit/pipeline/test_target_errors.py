"""Errors about targets: which sample it is, where it comes from, and what to do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import qdiag
from qdiag.cli.app import run
from qdiag.errors import QdiagError

N = 24
CODE = """
import torch
from torch import nn


def vectors():
    return nn.Linear(6, 3)


class Places(nn.Module):
    '''The same box for every image, in three places.'''

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 21, 1)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias.copy_(torch.tensor([1.0, 1.0, 6.0, 6.0, 0.0, 0.9, 0.0] * 3))

    def forward(self, x):
        return self.conv(x).amax((2, 3)).reshape(-1, 3, 7)
"""


def vectors() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(6, 3)


def late(values: Tensor, wrong: int, at: int = 20) -> Tensor:
    values[at] = wrong
    return values


def error_of(model: nn.Module, data: Any, **words: Any) -> QdiagError:
    with pytest.raises(QdiagError) as caught:
        qdiag.measure(model, data, **words)
    return caught.value


def test_a_label_names_its_sample() -> None:
    found = error_of(vectors(), (torch.randn(N, 6), late(torch.arange(N) % 3, 9)))
    assert (found.message, found.at) == ("label 9 is outside 0 to 2", "tuple, sample 20")
    assert "3 classes" in str(found.hint)


def test_boxes_name_their_sample() -> None:
    places = torch.rand(N, 12, 7) * torch.tensor([*4 * [99.0], *3 * [0.9]])
    box = {"boxes": torch.tensor([[10.0, 10.0, 60.0, 60.0]]), "labels": torch.tensor([1])}
    places[:, 0, :4], places[:, 0, 4:] = torch.tensor([10.0, 10.0, 60.0, 60.0]), torch.tensor([0.0, 0.95, 0.0])
    targets = [dict(box) for _ in range(N)]
    targets[20]["labels"] = torch.tensor([7])
    net = nn.Linear(7, 7)
    with torch.no_grad():
        net.weight.copy_(torch.eye(7)), net.bias.zero_()
    found = error_of(net, [(places[i : i + 8], targets[i : i + 8]) for i in (0, 8, 16)])
    assert "class 7 of a true box" in found.message and "sample 20" in str(found.at)


def test_files_name_the_array_or_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(CODE)
    np.savez("set.npz", images=np.zeros((N, 6), np.float32), labels=late(torch.arange(N) % 3, -2).numpy())
    assert run(["sqnr", "./nets.py:vectors", "--data", "set.npz", "--calib-data", "set.npz", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert "label -2 is outside 0 to 2" in error and "images[20]" in error and "the network has 3 classes" in error
    Path("pictures").mkdir()
    for i in range(8):
        Image.fromarray(np.full((8, 8, 3), 9 * i, np.uint8)).save(f"pictures/{i}.png")
    boxes = {f"{i}.png": [{"box": [1, 1, 6, 6], "label": 9 if i == 6 else 1}] for i in range(8)}
    Path("pictures/boxes.json").write_text(json.dumps(boxes))
    words = ["--data", "pictures", "--calib-data", "pictures", "--batch-size", "4", "--quiet"]
    assert run(["sqnr", "./nets.py:Places", *words]) == 2
    error = capsys.readouterr().err
    assert "the class 9 of a true box is outside 0 to 2" in error and "where: pictures/6.png" in error


def test_a_metric_that_fails_names_its_samples() -> None:
    def metric(outputs: Tensor, targets: Tensor) -> Tensor:
        assert int(targets.max()) < 9, "an odd label"
        return outputs[:, 0]

    found = error_of(vectors(), (torch.randn(N, 6), late(torch.arange(N) % 3, 9)), metric=metric, task="none")
    assert found.message.startswith("the metric failed: an odd label (AssertionError, line ")
    assert found.message.endswith("), at samples 16 to 23")
