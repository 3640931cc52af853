"""What every command does with a pipe, a narrow terminal, and people who want no colours."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest

from qdiag.cli.app import run
from qdiag.cli.console import stdout_console
from qdiag.cli.tables.ranking import print_ranking
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import awkward_diagnosis, diagnosis, healthy_diagnosis, repaired_diagnosis

NET = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    first = nn.Conv2d(3, 8, 3, bias=False)
    norm = nn.BatchNorm2d(8)
    with torch.no_grad():
        first.weight[0] *= 300  # one channel takes the scale from all others
        norm.running_var[0] = 90000.0
    layers = [first, norm, nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)).eval()
"""
DATA = ["--data", "images.npz", "--scheme", "tf-uint8", "--device", "cpu", "--calib-samples", "8"]
RUNS = {
    "diagnose": ["diagnose", "net.py:make", *DATA, "--no-bits"],
    "rank": ["rank", "net.py:make", *DATA],
    "sensitivity": ["sensitivity", "net.py:make", *DATA],
    "compare": ["compare", "before.json", "after.json"],
    "gate": ["gate", "before.json", "--max-drop", "90"],
}
OF_COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9|10)\d(?:;[\d;]*)?m")
OF_STYLE = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    images = np.random.default_rng(0).normal(size=(24, 3, 10, 10)).astype(np.float32)
    np.savez(tmp_path / "images.npz", x=images, labels=np.arange(24) % 4)
    for name, made in (("before", diagnosis()), ("after", repaired_diagnosis())):
        (tmp_path / f"{name}.json").write_text(diagnosis_to_json(made), encoding="utf-8")
    for name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    # one cache for all tests of this file: the network is measured once
    monkeypatch.setenv("QDIAG_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "terminal-cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", RUNS)
def test_json_on_stdout_is_json_and_nothing_else(command: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """And the times that stderr tells at the end add up to the time that the command took."""
    started = time.perf_counter()
    assert run([*RUNS[command], "--json", "-"]) == 0
    took = time.perf_counter() - started
    captured = capfdbinary.readouterr()
    assert isinstance(json.loads(captured.out), dict)
    if command in ("diagnose", "rank", "sensitivity"):
        last = captured.err.decode().splitlines()[-1]
        assert re.fullmatch(r"\d+\.\d s( \((\D+ \d+\.\d(, |\)))+)?", last), last
        whole, *parts = map(float, re.findall(r"\d+\.\d", last))
        assert whole == pytest.approx(took, abs=0.1 + 0.02 * took)
        assert sum(parts) == pytest.approx(whole) if parts else whole < 0.5  # of a kept run, no stage takes 0.05 s
        rest = re.search(r"the rest (\S+)\)", last)
        assert rest is None or float(rest[1]) <= 0.3 + 0.1 * whole, last


@pytest.mark.parametrize("command", RUNS)
def test_quiet_runs_leave_stderr_empty(command: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run([*RUNS[command], "--quiet"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.err == b""
    assert b"\x1b" not in captured.out


def test_a_quiet_report_names_its_files_on_stdout_alone(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["report", "before.json", "-o", "drawn", "--format", "md", "-q"]) == 0
    captured = capfdbinary.readouterr()
    assert captured.err == b""
    assert captured.out.splitlines()[-1] == b"drawn/report.md"


@pytest.mark.parametrize("command", RUNS)
def test_tables_fit_a_terminal_of_forty_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert run([*RUNS[command], "-q"]) == 0
    check_width(capsys.readouterr().out, has_words_in_columns=command == "gate")


def test_a_ranking_fits_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for made in (diagnosis(), healthy_diagnosis(), awkward_diagnosis()):
        print_ranking(stdout_console(), made)
        text = capsys.readouterr().out
        assert ("─" in text) == bool(made.ranking.causes and made.ranking.harm.verdict != "healthy")
        check_width(text)


def check_width(text: str, *, has_words_in_columns: bool = False) -> None:
    """Sentences and commands are left to the terminal to wrap, so that they can be copied; tables are not."""
    lines = text.splitlines()
    assert all(len(line) <= 40 for line in lines if "─" in line)
    if not has_words_in_columns:
        assert [line for line in lines if len(line) > 40 and re.search(r"\S {2,}\S", line)] == []


@pytest.mark.parametrize("command", RUNS)
def test_no_color_is_respected_where_colours_are_possible(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert run([*RUNS[command], "-q"]) == 0
    assert OF_STYLE.search(capsys.readouterr().out)
    monkeypatch.setenv("NO_COLOR", "1")
    assert run([*RUNS[command], "-q"]) == 0
    assert not OF_COLOUR.search(capsys.readouterr().out)


def test_errors_and_help_have_no_colours_either(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert run(["rank", "absent.pt2"]) == 2
    assert OF_COLOUR.search(capsys.readouterr().err)
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(["rank", "absent.pt2"]) == 2
    assert not OF_COLOUR.search(capsys.readouterr().err)
