"""`qdiag check` looks at a model without data: pt2, ONNX with free sizes, and weights of the zoo."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim, export, save

from qdiag.cli.app import run
from tests.networks.onnx_files import small_cnn

Capture = pytest.CaptureFixture[str]

STEM, DEPTHWISE, HEAD = 3 * 8 * 9 * 64, 8 * 9 * 64, 8 * 64 * 5
"""Multiplications of the layers below, for one sample of 8 x 8 pixels: kernel times channels times positions."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("check")
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
        *(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 5)),
    ).eval()
    program = export(net, (torch.randn(2, 3, 8, 8),), dynamic_shapes=({0: Dim("batch")},))
    save(program, made / "net.pt2")
    (made / "net.onnx").write_bytes(small_cnn())
    return made


@pytest.fixture(scope="module")
def checked(folder: Path) -> dict[str, Any]:
    file = folder / "check.json"
    assert run(["check", str(folder / "net.pt2"), "--json", str(file), "-q", "--device", "cpu"]) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_operations_are_counted_with_their_share(checked: dict[str, Any]) -> None:
    rows = {(row["op"], row["kind"]): row for row in checked["operations"]}
    assert list(rows) == [("conv2d", "conv"), ("conv2d", "depthwise_conv"), ("linear", "linear")]
    total = STEM + DEPTHWISE + HEAD
    assert checked["mac_count"] == total
    macs = [row["mac_fraction"] for row in rows.values()]
    assert macs == pytest.approx([STEM / total, DEPTHWISE / total, HEAD / total])
    weights = [row["weight_fraction"] for row in rows.values()]
    assert weights == pytest.approx([part / (216 + 72 + 2560) for part in (216, 72, 2560)])
    assert [row["fused"] for row in rows.values()] == [["batch_norm", "relu6"], ["relu"], []]
    assert (checked["layer_count"], checked["quantized_count"]) == (3, 3)


def test_inputs_outputs_and_their_origin(checked: dict[str, Any]) -> None:
    assert [(one["shape"], one["dtype"]) for one in checked["inputs"]] == [([3, 8, 8], "float32")]
    assert [one["shape"] for one in checked["outputs"]] == [[5]]
    assert checked["inputs_from"] == "the inputs that the file was exported with"
    assert checked["choice"]["kind"] == "none" and checked["criterion"] is None


def test_what_stays_in_float_is_said_with_the_reason(folder: Path, capsys: Capture) -> None:
    words = ["check", str(folder / "net.pt2"), "--set", "float_layers=['3']", "--device", "cpu", "-q"]
    assert run(words) == 0
    printed = capsys.readouterr().out
    assert "quantizes 2 of its 3 layers." in " ".join(printed.split())
    assert "1 operation not quantized" in printed and "kept in float by the scheme" in printed
    command = next(line for line in printed.splitlines() if line.startswith("  qdiag diagnose "))
    assert command.endswith("--data photos/ --scheme int8 --set 'float_layers=['\"'\"'3'\"'\"']' -o reports/run1")


def test_an_onnx_file_with_free_sizes_is_run_at_a_likely_one(folder: Path, capsys: Capture) -> None:
    assert run(["check", str(folder / "net.onnx"), "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert "x (N, 3, 224, 224) float32" in printed.out
    assert "noise of the declared shapes, seed 0; free sizes are 224" in printed.out
    assert "y (N, 5) float32" in printed.out
    assert run(["check", str(folder / "net.onnx"), "--device", "cpu", "--input-shape", "1,3,8,8", "-q"]) == 0
    assert "x (N, 3, 8, 8) float32" in capsys.readouterr().out


def test_without_a_shape_it_is_asked_for(capsys: Capture) -> None:
    assert run(["check", "zoo:resnet_cifar?depth=8", "-q"]) == 2
    assert "give --input-shape 1,3,224,224, with the shape of the network's own input" in capsys.readouterr().err
