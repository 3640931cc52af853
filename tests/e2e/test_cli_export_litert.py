"""`qdiag export -o int8.tflite` and `qdiag verify` with LiteRT: every integer of the file is that of the simulation."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim, export, save

pytest.importorskip("ai_edge_litert")
from qdiag.cli.app import run
from qdiag.litert.edited.change import TensorChange
from qdiag.litert.edited.write import with_changes
from qdiag.litert.read import parse
from tests.e2e.measuring import make_inputs
from tests.networks.sequence import MultiHead, VisionTransformer

Capture = pytest.CaptureFixture[str]
LAYERS = ["input:input", "0", "3", "7"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export_litert")
    make_inputs(folder)
    words = ("--no-cache", "-q", "-o", str(folder / "int8.tflite"), "--json", str(folder / "export.json"))
    assert run(["export", str(folder / "net.pt2"), "--data", str(folder / "data.npz"), *words]) == 0
    return folder


def test_written_and_verified(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As it is written, and read back; nothing else is printed."""
    target, model = folder / "int8.tflite", str(folder / "net.pt2")
    data = ("--data", str(folder / "data.npz"), "--no-cache", "-q")
    report: dict[str, Any] = json.loads((folder / "export.json").read_text())
    assert report["format"] == "LiteRT" and report["byte_count"] == target.stat().st_size
    assert report["operations"]["integer"] == {"CONV_2D": 2, "FULLY_CONNECTED": 1}
    assert report["operations"]["floating"] == [] and report["fallen_back"] == []
    for words in (("--runtime", "tflite-ref"), ("--quantized", str(target))):
        assert run(["verify", model, *data, *words, "--json", "-"]) == 0
        seen = capfd.readouterr()
        result: dict[str, Any] = json.loads(seen.out)
        assert not seen.err
        assert [layer["layer"] for layer in result["layers"]] == LAYERS
        assert result["differing_count"] == 0
        assert result["equal_count"] == result["sample_count"] == 64
        assert result["scheme"]["arithmetic"] == ("xnnpack" if words[0] == "--quantized" else words[1])


def test_a_vision_transformer_with_a_class_token(tmp_path: Path, capfd: Capture) -> None:
    """The rows of its attention are samples in one place and tokens in another; the file takes one sample at a time."""
    torch.manual_seed(0)
    net, x = VisionTransformer(MultiHead).eval(), torch.randn(24, 3, 16, 16)
    model, target, data = (str(tmp_path / name) for name in ("vit.pt2", "vit.tflite", "data.npz"))
    save(export(net, (x[:4],), dynamic_shapes=({0: Dim("batch")},)), model)
    np.savez(data, images=x.numpy(), labels=net(x).argmax(1).numpy())
    words = ("--data", data, "--no-cache", "-q")
    assert run(["export", model, *words, "-o", target]) == 0
    for more in (("--runtime", "tflite-ref"), ("--quantized", target)):
        capfd.readouterr()
        assert run(["verify", model, *words, *more, "--json", "-"]) == 0
        result: dict[str, Any] = json.loads(capfd.readouterr().out)
        assert result["differing_count"] == 0 and len(result["layers"]) >= 18
        assert result["equal_count"] == result["sample_count"] > 0


def test_a_network_of_signals(tmp_path: Path, capfd: Capture) -> None:
    """Its layers are found again in the file, which has them as images of one row."""
    torch.manual_seed(0)
    layers = (nn.Conv1d(2, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 8, 3, groups=8), nn.MaxPool1d(2))
    net, x = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4)), torch.randn(24, 2, 64)
    net(x)
    model, target, data = (str(tmp_path / name) for name in ("net.pt2", "net.tflite", "data.npz"))
    save(export(net.eval(), (x[:4],), dynamic_shapes=({0: Dim("batch")},)), model)
    np.savez(data, x=x.numpy())
    words = ("--data", data, "--no-cache", "-q")
    assert run(["export", model, *words, "-o", target]) == 0
    capfd.readouterr()
    assert run(["verify", model, *words, "--quantized", target, "--json", "-"]) == 0
    result: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert [layer["layer"] for layer in result["layers"]] == ["input:input", "0", "3", "5", "7"]
    assert result["differing_count"] == 0 and result["equal_count"] == 24
    assert not result["operations"]["floating"] and not result["uncompared"]


def test_a_stale_range_is_repaired_in_the_file(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Diagnosed, written back, and right again in the runtime."""
    bad, fixed = (str(tmp_path / name) for name in ("bad.tflite", "fixed.tflite"))
    model = str(folder / "net.pt2")
    data = ("--data", str(folder / "data.npz"), "--no-cache", "-q")
    Path(bad).write_bytes(with_narrow_range((folder / "int8.tflite").read_bytes(), "3", "7.bias", 8.0))
    words = ("--no-sensitivity", "--no-bits", "--quantized", bad, "--repaired", fixed)
    assert run(["diagnose", model, *data, *words, "--set", "arithmetic=xnnpack"]) == 0
    said = " ".join(capfd.readouterr().out.split())
    before, _, after = said.partition("What changes in")
    assert "62.5 % deployed, 64 samples" in before and "3, output 3: other integers, 8 bits" in after
    assert "repaired 3 operations with integers in LiteRT" in after and "100.0 % deployed, 64 samples" in after


def with_narrow_range(content: bytes, tensor: str, bias: str, times: float) -> bytes:
    """The file with another scale of an activation, and of the bias behind it."""
    graph = parse(content, "good.tflite")
    places = {one.name: place for place, one in enumerate(graph.tensors)}
    changes = []
    for name in (tensor, bias):
        one = graph.tensors[places[name]]
        assert one.quantization is not None
        quantization = replace(one.quantization, scales=one.quantization.scales / np.float32(times))
        data = None if one.data is None else (one.data * times).astype(one.dtype)
        changes.append(TensorChange(places[name], one.dtype, quantization, data))
    return with_changes(content, graph, changes, "bad.tflite")
