"""`qdiag qat --refit-separable` from the outside: what is written, measured again, and refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qdiag.cli.app import run
from qdiag.loaders.python_ref import load_object
from tests.unit.train.networks import stripes

NETWORK = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU6()),
        *(nn.Conv2d(6, 6, 3, groups=6, bias=False), nn.BatchNorm2d(6), nn.ReLU6()),
        *(nn.Conv2d(6, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)),
    )

def plain():
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU6(), nn.Conv2d(6, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that nobody trained, of a network with one separable convolution, and images of stripes."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "net.py").write_text(NETWORK)
    for name in ("make", "plain"):
        torch.save(load_object(f"{folder / 'net.py'}:{name}")().state_dict(), folder / f"{name}.pth")
    images, labels = (value.numpy() for value in stripes(112, 4))
    parts = {"calib_images": images[:80], "calib_labels": labels[:80], "images": images[80:], "labels": labels[80:]}
    np.savez(folder / "data.npz", **parts)
    return folder


def line(inputs: Path, target: Path, *more: str, network: str = "make") -> list[str]:
    words = ["qat", str(inputs / f"{network}.pth"), "--arch", f"{inputs / 'net.py'}:{network}"]
    words += ["--data", str(inputs / "data.npz"), "--scheme", "tf-uint8", "--epochs", "2", "--learning-rate", "0.1"]
    return [
        *words,
        "--train-batch",
        "8",
        "--averaging-constant",
        "0.2",
        "--device",
        "cpu",
        "-q",
        "-o",
        str(target),
        *more,
    ]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def top1(measurement: Any, which: str = "simulated") -> float:
    value: float = measurement["task"]["figures"][0][which]
    return value


def test_the_rewritten_network_is_trained_written_and_measures_the_same(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, result, again = (tmp_path / name for name in ("trained.pt2", "result.json", "again.json"))
    assert run(line(inputs, target, "--refit-separable", "c", "--json", str(result))) == 0
    found = read(result)
    refit = found["refit"]
    assert (refit["variant"], refit["blocks"], refit["kept"], refit["relu_count"]) == ("c", ["3"], [], 2)
    assert top1(found["before"], "reference") == top1(refit["float_change"])
    assert top1(refit["original"], "reference") == top1(refit["float_change"], "reference")
    assert top1(found["after"]) > top1(found["before"]) + 10.0
    text = capsys.readouterr().out
    for row in (f"{top1(found['float_change']):.1f} % trained", f"{top1(found['after']):.1f} % trained"):
        assert row in text
    assert "1 separable convolution, variant c" in text and "ReLU for ReLU6 in 2 other places" in text
    graph = torch.export.load(target).graph
    operations = [str(node.target) for node in graph.nodes if node.op == "call_function"]
    assert sum("batch_norm" in name for name in operations) == 2 and not any("hardtanh" in n for n in operations)
    words = ["sqnr", str(target), "--data", str(inputs / "data.npz"), "--device", "cpu", "-q", "--json", str(again)]
    assert run([*words, "--scheme", str(tmp_path / "trained.scheme.toml")]) == 0
    measured = read(again)
    assert (measured["task"], measured["outputs"]) == (found["after"]["task"], found["after"]["outputs"])


@pytest.mark.parametrize(
    ("network", "target", "more", "message"),
    [
        ("make", "trained.pth", ["--refit-separable", "b"], "end the name in .pt2"),
        ("make", "trained.pt2", ["--refit-blocks", "3"], "it needs --refit-separable"),
        ("make", "trained.pt2", ["--refit-separable", "b", "--submodule", "3"], "a part of a network is not rewritten"),
        (
            "make",
            "trained.pt2",
            ["--refit-separable", "b", "--refit-blocks", "9"],
            "no depthwise convolution is called 9",
        ),
        ("plain", "trained.pt2", ["--refit-separable", "b"], "no depthwise convolution with a BatchNorm or a clamp"),
    ],
)
def test_wrong_use_is_said(
    network: str,
    target: str,
    more: list[str],
    message: str,
    inputs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(line(inputs, tmp_path / target, *more, network=network)) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
