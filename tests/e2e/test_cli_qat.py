"""`qdiag qat` from the outside: what is written, measured again, gone on with, and refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qdiag.cli.app import run
from qdiag.train.loop import Training
from tests.unit.train.networks import learned, stripes

NETWORK = """
from torch import nn

def make():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU6()),
        *(nn.Conv2d(6, 6, 3, groups=6), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)),
    )

def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)
"""
SCHEME = ["--scheme", "tf-uint8", "--set", "weights.bits=2", "--set", "activations.bits=3"]
TRAINING = ["--epochs", "2", "--learning-rate", "0.02", "--averaging-constant", "0.2", "--train-batch", "16"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training checkpoint and images of stripes."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "net.py").write_text(NETWORK)
    torch.save({"model": learned().state_dict(), "epoch": 7}, folder / "net.pth")
    images, labels = (value.numpy() for value in stripes(304, 4))
    parts = {"calib_images": images[:256], "calib_labels": labels[:256], "images": images[256:], "labels": labels[256:]}
    np.savez(folder / "data.npz", **parts)
    return folder


def line(inputs: Path, folder: Path, *more: str) -> list[str]:
    words = ["qat", str(inputs / "net.pth"), "--arch", f"{inputs / 'net.py'}:make", "--data", str(inputs / "data.npz")]
    words += [*SCHEME, *TRAINING, "--device", "cpu", "-o", str(folder / "trained.pth"), "-q"]
    return [*words, "--json", str(folder / "result.json"), *more]


@pytest.fixture(scope="module")
def done(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training with a ranges that follow, and one of what it wrote."""
    folder = tmp_path_factory.mktemp("done")
    assert run(line(inputs, folder)) == 0
    return folder


def result(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def quantized(measurement: Any) -> float:
    value: float = measurement["task"]["figures"][0]["simulated"]
    return value


def test_what_is_written_measures_as_it_did_in_training(inputs: Path, done: Path, tmp_path: Path) -> None:
    """A checkpoint in the format of the model, and a scheme: the same figures to the last bit."""
    found = result(done)
    assert quantized(found["after"]) > quantized(found["before"])
    assert {path.name for path in done.iterdir()} == {"trained.pth", "trained.scheme.toml", "result.json"}
    stored = torch.load(done / "trained.pth")
    assert stored["epoch"] == 7 and stored["model"].keys() == learned().state_dict().keys()
    again = tmp_path / "again.json"
    words = ["sqnr", str(done / "trained.pth"), "--arch", f"{inputs / 'net.py'}:make", "--device", "cpu", "-q"]
    words += ["--data", str(inputs / "data.npz"), "--scheme", str(done / "trained.scheme.toml"), "--json", str(again)]
    assert run(words) == 0
    measured = json.loads(again.read_text(encoding="utf-8"))
    assert measured["outputs"] == found["after"]["outputs"] != found["before"]["outputs"]
    assert measured["task"] == found["after"]["task"] and measured["data"]["measured_count"] == 48
    scheme = (done / "trained.scheme.toml").read_text(encoding="utf-8")
    assert '[layers."input:input".activations]\nrange = [' in scheme


def test_a_training_that_was_stopped_goes_on(
    inputs: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = Training._train

    def stop(self: Training, epoch: int) -> float:
        if epoch == 2:
            raise KeyboardInterrupt
        return train(self, epoch)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "_train", stop)
        assert run(line(inputs, tmp_path)) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["trained.pth.training"]
    assert run([*line(inputs, tmp_path), "--epochs", "3"]) == 2  # other settings
    assert "another training" in capsys.readouterr().err
    assert run(line(inputs, tmp_path)) == 0
    found, whole = result(tmp_path), result(done)
    assert found["training"]["is_resumed"] and not whole["training"]["is_resumed"]
    assert [e["loss"] for e in found["training"]["epochs"]] == [e["loss"] for e in whole["training"]["epochs"]]
    one, other = (torch.load(folder / "trained.pth")["model"] for folder in (tmp_path, done))
    assert all(torch.equal(one[name], value) for name, value in other.items())
    assert not (tmp_path / "trained.pth.training").exists()


def test_where_nothing_is_gained_nothing_is_written(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = ["--learning-rate", "1e-30", "--freeze-bn-after", "0", "--set", "activations.bits=32", "--epochs", "1"]
    words = line(inputs, tmp_path, *still)
    words[words.index("--json") : words.index("--json") + 2] = []
    assert run(words) == 1
    assert list(tmp_path.iterdir()) == []
    assert "No epoch was better than the network as it was read, so nothing is written." in capsys.readouterr().out


def test_a_loss_of_ones_own_learned_ranges_and_few_layers(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--loss", f"{inputs / 'net.py'}:loss", "--layers", "3", "--ranges", "learned"]
    words = [*line(inputs, tmp_path), *own, "--set", "weights.granularity=per_channel"]
    words[words.index("--json") : words.index("--json") + 2] = []
    assert run(words) == 0
    text = capsys.readouterr().out
    assert "your own loss on 231 samples in batches of 16" in text and "only 3 may move" in text
    before, after = (torch.load(path)["model"] for path in (inputs / "net.pth", tmp_path / "trained.pth"))
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"3", "4"}
    assert "channel_ranges = [[" in (tmp_path / "trained.scheme.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--layers", "nothing"], "no layer is called nothing"),
        (["--learning-rate", "0"], "learning_rate = 0.0"),
        (["--learning-rate", "1e30"], "use a smaller --learning-rate"),
    ],
)
def test_what_cannot_be_trained_is_said(
    more: list[str], message: str, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line(inputs, tmp_path, *more)) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_are_kept(inputs: Path, done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in done.iterdir()}
    assert run(line(inputs, done)) == 2
    assert "there is such a file already" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in done.iterdir()} == before


@pytest.mark.parametrize("more", [[], ["--input-shape", "1,1,8,8"], ["--train-data", "data.npz"]])
def test_without_data_nothing_is_trained(
    more: list[str], inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["qat", str(inputs / "net.pth"), "--arch", f"{inputs / 'net.py'}:make", "-o", str(tmp_path / "trained.pth")]
    assert run([*words, *(str(inputs / word) if word == "data.npz" else word for word in more)]) == 2
    error = capsys.readouterr().err
    assert "no --data: inputs that are drawn are no samples to train on" in error and "--data PATH" in error
    assert "--calib-data" not in error and "--input-shape" not in error
    assert list(tmp_path.iterdir()) == []
