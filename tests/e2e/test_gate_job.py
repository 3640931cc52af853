"""A CI job from end to end on the network that comes with the package: diagnose, gate, repair, gate again.

Its dead BatchNorm channels ruin it in per-tensor uint8; per channel, or repaired, it is as good as in float.
"""

import os
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from safetensors.torch import load_file, save_file

from qdiag.cli.app import run
from qdiag.demo_assets import DEMO_ARCH, DEMO_PRESET, demo_data_path, demo_model_path

DATA = ["--arch", DEMO_ARCH, "--data", str(demo_data_path()), "--preset", DEMO_PRESET, "--device", "cpu"]
FILES = ["--junit", "gate.xml", "--markdown", "comment.md"]
LIMITS = ["--max-drop", "3", "--min-layer-sqnr", "10"]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A step of GitHub Actions in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "QDIAG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def outcomes(job: Path, kind: str) -> dict[str, str]:
    """Test cases with a failure, or an error, and what it says."""
    cases = ElementTree.fromstring(read(job / "gate.xml")).iter("testcase")
    found = {case.attrib["name"]: case.find(kind) for case in cases}
    return {name: f"{e.attrib['message']}\n{e.text}" for name, e in found.items() if e is not None}


def test_a_good_checkpoint_passes(job: Path) -> None:
    assert run(["sqnr", str(demo_model_path()), *DATA, "--scheme", "int8", "--json", "int8.json", "--quiet"]) == 0
    assert run(["gate", "int8.json", *LIMITS, *FILES]) == 0
    assert outcomes(job, "failure") == outcomes(job, "error") == {}
    assert "The gate passed" in read(job / "summary.md")


def test_a_broken_one_fails_and_layer_and_cause_are_named_and_its_repair_passes(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--samples", "100", "--no-sensitivity", "--no-bits", "--scheme", "tf-uint8"]
    assert run(["diagnose", str(demo_model_path()), *DATA, *few, "--json", "run1.json", "--quiet"]) == 0
    capsys.readouterr()
    assert run(["gate", "run1.json", *LIMITS, "--forbid", "QD301", *FILES]) == 1
    failures = outcomes(job, "failure")
    assert {"drop of top-1", "forbidden QD301", "local SQNR of blocks.0.dw"} <= set(failures)
    for text in (failures["drop of top-1"], read(job / "summary.md"), read(job / "comment.md")):
        assert "QD301 dead BatchNorm channels" in text
        assert "blocks.0.dw" in text
        assert "qdiag fix-bn" in text
    assert "::error title=qdiag%3A drop of top-1::" in capsys.readouterr().out

    fixed = ["fix-bn", str(demo_model_path()), "-o", "fixed.safetensors", *DATA, "--samples", "64", "--quiet"]
    assert run([*fixed, "--scheme", "tf-uint8"]) == 0
    assert run(["gate", "fixed.safetensors", *DATA, "--scheme", "tf-uint8", *LIMITS, *FILES, "--quiet"]) == 0


def nan_inside(path: Path) -> None:
    tensors = load_file(demo_model_path())
    name = next(iter(sorted(tensors)))
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, path)


def torn(path: Path) -> None:
    content = demo_model_path().read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("corrupt", [nan_inside, torn])
def test_a_corrupted_one_cannot_be_judged(job: Path, corrupt: Callable[[Path], None]) -> None:
    corrupt(job / "net.safetensors")
    assert run(["sqnr", "net.safetensors", *DATA, "--json", "r.json", "--quiet"]) == 2
    assert run(["gate", "r.json", *LIMITS, *FILES]) == 2  # the step before left nothing
    assert "stored result" in outcomes(job, "error")
    assert run(["gate", "net.safetensors", *DATA, *LIMITS, *FILES, "--quiet"]) == 2
    (message,) = outcomes(job, "error").values()
    assert "net.safetensors" in message
    assert outcomes(job, "failure") == {}
    assert read(job / "summary.md").count("The gate could not judge") == 2
