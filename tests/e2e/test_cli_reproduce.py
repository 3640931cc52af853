"""`qdiag reproduce` from the outside: what is printed and written, gone on with, and refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qdiag.cli.app import run
from qdiag.reproduce import experiments
from qdiag.reproduce.lab import Lab
from tests.unit.reproduce.sets import SMALL, run_seed, stripes

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Lab], None]], None]:
    """The experiment takes no time; a function that replaces how its seeds are run."""

    def use(function: Callable[[Lab], None]) -> None:
        monkeypatch.setitem(experiments.EXPERIMENTS, "qat", replace(SMALL, run_seed=function))

    use(run_seed)
    return use


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("QDIAG_CACHE_DIR", str(tmp_path / "cache"))
    images = stripes()
    np.savez(tmp_path / "stripes.npz", images=images.images.numpy(), labels=images.labels.numpy())
    return str(tmp_path / "stripes.npz")


def line(data: str, *more: str) -> list[str]:
    return ["reproduce", "qat", "--data", data, "--epochs", "2", "--seeds", "2", "--device", "cpu", *more]


def test_figures_and_expectations_are_printed_and_written(
    data: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(line(data, "-o", str(tmp_path / "out"))) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines()[:-1])) <= 80
    words = " ".join(text.split())
    assert "stripes.npz: 3 x 8 x 8, 3 classes" in words and "2 seeds (0, 1)" in words
    assert "29 are trained on (shifted at random), of which 29 calibrate; 7 choose the best epoch; 24" in words
    assert "of 2 expectations, 1 confirmed, 1 not confirmed" in words
    assert "not confirmed: Training recovers more than a point with 4 bits per channel." in words
    assert "The small network loses only 0.2 points there" in words
    assert text.splitlines()[-1].endswith("qdiag reproduce qat --data stripes.npz --samples 60 --epochs 2 --seeds 2")
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["plots", "report.html", "report.md", "result.json"]
    stored: dict[str, Any] = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert stored["run"]["epochs"] == 2 and stored["judged"][0]["outcome"] == "holds"
    cell = next(cell for cell in stored["cells"] if cell["place"] == {"row": "float", "column": "top1"})
    assert cell["published"] == 70.9 and f"{cell['mean']:.1f} ± {cell['spread']:.1f}" in text
    markdown = (out / "report.md").read_text(encoding="utf-8")
    assert (
        "| float |" in markdown
        and "qdiag reproduce qat --data stripes.npz --samples 60 --epochs 2 --seeds 2" in markdown
    )


def test_a_run_that_is_stopped_goes_on_with_the_next_seed(
    data: str, small: Callable[[Callable[[Lab], None]], None], capsys: Capture, tmp_path: Path
) -> None:
    ran: list[int] = []

    def stopping(lab: Lab) -> None:
        if lab.seed == 1 and ran.count(1) == 0:
            ran.append(1)
            raise KeyboardInterrupt
        ran.append(lab.seed)
        lab.record("float", "top1", 90.0 + lab.seed)
        lab.record("qat4c", "top1", 80.0)
        lab.curve("training", "float", [1.0, 0.5])

    small(stopping)
    assert run(line(data)) == 130
    assert "Run the same command again to go on: 1 finished pass is kept" in " ".join(capsys.readouterr().err.split())
    assert run(line(data, "--json", str(tmp_path / "result.json"))) == 0
    assert ran == [0, 1, 1]
    stored: dict[str, Any] = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert [seed["seed"] for seed in stored["seeds"]] == [0, 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reproduce", "nothing"], "'nothing' is unknown; the choices are bnn, mobilenet"),
        (["reproduce", "qat", "--data", "nowhere.npz"], "no such file or folder"),
        (["reproduce", "qat", "--minutes", "0"], "minutes = 0"),
        (["reproduce", "qat", "--resize", "16"], "--resize needs --data"),
        (["reproduce", "qat", "--seeds", "0"], "0 is below 1"),
    ],
)
def test_wrong_usage_is_refused(words: list[str], message: str, capsys: Capture) -> None:
    assert run(words) == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
