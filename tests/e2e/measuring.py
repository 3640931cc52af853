"""Command lines of every command that measures, on a small network that quantization harms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim, export, save

from qdiag import demo_assets

SIZE, CLASSES = 8, 5
COMMANDS: dict[str, list[str]] = {
    "sqnr": ["sqnr", "--losses"],
    "ranges": ["ranges"],
    "drawn inputs": ["sqnr", "--input-shape", f"1,3,{SIZE},{SIZE}"],
    "fold": ["fold"],
    "fix-bn": ["fix-bn", "-o", "{folder}/fixed.pt2", "--force"],
    "repair": ["repair", "--with", "equalize,correct_bias", "-o", "{folder}/repaired.pt2", "--force"],
    "qat": [
        *("qat", "--epochs", "1", "--train-batch", "8", "--learning-rate", "0.01", "--layers", "7"),
        *("-o", "{folder}/trained.pt2", "--force"),
    ],
    "export": ["export", "-o", "{folder}/int8.onnx", "--force", "--with", "equalize"],
    "rank": ["rank"],
    "sensitivity": ["sensitivity"],
    "diagnose": ["diagnose"],
    "branches": ["branches"],
    "gate": ["gate", "--max-drop", "1"],
    "gate for causes": ["gate", "--max-drop", "1", "--forbid", "QD301"],
}
"""By name, without the network, the data and the scheme."""


def make_inputs(folder: Path) -> None:
    """`net.pt2` and `data.npz`, which has a part to calibrate on."""
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(8 * (SIZE - 4) ** 2, CLASSES)),
    )
    x = torch.randn(96, 3, SIZE, SIZE)
    for _ in range(20):
        net(x)
    net.eval()
    with torch.no_grad():
        net[1].weight[4] *= 300.0  # a channel that stretches the range of the others, and changes nothing in float
        net[1].bias[4] *= 300.0
        net[3].weight[:, 4] /= 300.0
        net[3].weight[2] = 1e-15 * torch.randn(8, 3, 3)  # a channel that is constant, and had no variance in training
        net[4].running_mean[2], net[4].running_var[2], net[4].weight[2] = 0.0, 1e-30, 5e3
        labels = net(x).argmax(1).numpy()
    save(export(net, (x[:2],), dynamic_shapes=({0: Dim("batch")},)), folder / "net.pt2")
    images = x.numpy()
    np.savez(
        folder / "data.npz", calib_images=images[:32], calib_labels=labels[:32], images=images[32:], labels=labels[32:]
    )


def use_as_demo(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo runs on the small network in place of its own, which takes ten times as long."""
    monkeypatch.setattr(demo_assets, "demo_model_path", lambda: inputs / "net.pt2")
    monkeypatch.setattr(demo_assets, "demo_data_path", lambda: inputs / "data.npz")
    monkeypatch.setattr(demo_assets, "DEMO_ARCH", None)
    monkeypatch.setattr(demo_assets, "DEMO_PRESET", None)


def command_line(name: str, inputs: Path, folder: Path) -> list[str]:
    """With its outputs in the folder: `result.json`, or what the demo writes."""
    if name == "demo":
        return ["demo", "--out", str(folder)]
    command, *options = COMMANDS[name]
    data = [] if name == "drawn inputs" else ["--data", str(inputs / "data.npz")]
    line = [command, str(inputs / "net.pt2"), *data, "--device", "cpu"]
    scheme = [] if name == "ranges" else ["--scheme", "tf-uint8"]
    options = [word.format(folder=folder) for word in options]
    return [*line, *scheme, *options, "--json", str(result(name, folder))]


def result(name: str, folder: Path) -> Path:
    """Where its result is written."""
    return folder / ("diagnosis.json" if name == "demo" else "result.json")
