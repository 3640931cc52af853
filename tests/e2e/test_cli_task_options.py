"""What a network is judged by, as options of the command line."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from qdiag.cli.app import run

CODE = """
import torch
from torch import nn


class Two(nn.Module):
    '''An embedding and a pose.'''

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.first, self.second = nn.Linear(8, 6), nn.Linear(8, 3)

    def forward(self, x):
        x = self.conv(x).relu().mean((2, 3))
        return {"embedding": self.first(x), "pose": self.second(x)}


def distance(outputs, targets):
    return (outputs[1] - targets).abs().mean(1)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(CODE)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((24, 3, 8, 8)).astype(np.float32)
    np.savez("data.npz", images=images, targets=rng.standard_normal((24, 3)))
    np.savez("unlabelled.npz", images=images)
    return tmp_path


def task(*words: str, data: str = "data.npz") -> dict[str, object]:
    """What `result.json` says of the task."""
    assert run(["sqnr", "./net.py:Two", "--data", data, *words, "--quiet", "--json", "result.json"]) == 0
    found = json.loads(Path("result.json").read_text())["task"]
    assert isinstance(found, dict)
    return found


def test_task_output_metric_direction_and_limit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = task()
    assert (found["choice"]["kind"], found["choice"]["output"]) == ("regress", "pose")  # type: ignore[index]
    found = task("--task", "embed", "--output", "embedding", data="unlabelled.npz")
    assert found["choice"] == {"kind": "embed", "output": "embedding", "reason": "asked", "named_by": ""}
    assert found["figures"][0]["criterion"]["name"] == "cosine"  # type: ignore[index]
    capsys.readouterr()
    words = ("--metric", "./net.py:distance", "--metric-direction", "lower", "--metric-limit", "0.25")
    figures = task(*words)["figures"]
    out = " ".join(capsys.readouterr().out.split())
    criterion = figures[0]["criterion"]  # type: ignore[index]
    assert (criterion["name"], criterion["higher_is_better"], criterion["limit"]) == ("distance", False, 0.25)
    assert criterion["is_relative"] is False
    assert "distance" in out
    assert [figure["criterion"]["name"] for figure in figures[1:]] == ["nMAE", "MAE", "RMSE"]  # type: ignore[index]


@pytest.mark.parametrize("words", [("--metric-direction", "lower"), ("--metric-limit", "0.1")])
def test_direction_and_limit_need_a_metric(
    folder: Path, words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sqnr", "./net.py:Two", "--data", "data.npz", *words]) == 2
    captured = capsys.readouterr()
    assert f"{words[0]} needs --metric" in captured.err and "give --metric ./FILE.py:FN" in captured.err


def test_an_output_that_is_not_there_ends_in_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sqnr", "./net.py:Two", "--data", "data.npz", "--output", "nose", "--quiet"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "no float output is called 'nose'" in error and "embedding (N, 6), pose (N, 3)" in error


def test_a_metric_of_torchmetrics_without_torchmetrics(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    line = ["sqnr", "./net.py:Two", "--data", "data.npz", "--metric", "torchmetrics.MeanSquaredError()", "--quiet"]
    assert run(line) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "torchmetrics is not installed" in error and "qdiag[metrics]" in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--task", "classif"), "'classif' is unknown; the choices are classify, segment"),
        (("--metric-direction", "up"), "'up' is unknown; the choices are higher, lower"),
        (("--metric-limit", "-3"), "-3 is below 0"),
        (("--metric-limit", "much"), "'much' is not a number"),
        (("--batch-size", "x"), "'x' is not a whole number"),
    ],
)
def test_values_that_cannot_be_read_are_told_plainly(
    words: tuple[str, str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["sqnr", "net.pt", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {told}") and f"where: {words[0]}" in error
