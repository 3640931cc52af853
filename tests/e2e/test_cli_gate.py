"""`qdiag gate` from the outside, on stored results."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qdiag.cli.app import run
from qdiag.writers.json.baseline import read_baseline
from qdiag.writers.json.diagnosis import diagnosis_to_json
from qdiag.writers.json.measurement import to_json
from tests.diagnoses import awkward_diagnosis, diagnosis, healthy_diagnosis, repaired_diagnosis
from tests.figures import metric
from tests.measurements import measurement
from tests.other_tasks import judged_by_error, judged_by_sqnr

ROOT = Path(__file__).resolve().parents[2]

DIAGNOSES = {
    "bad": diagnosis,
    "good": healthy_diagnosis,
    "repaired": repaired_diagnosis,
    "nan": awkward_diagnosis,
    "depth": lambda: judged_by_error(diagnosis()),
    "none": lambda: judged_by_sqnr(diagnosis()),
}


@pytest.fixture(scope="module")
def stored() -> dict[str, str]:
    """Texts of all files, by their path."""
    texts = {f"{name}.json": diagnosis_to_json(make()) for name, make in DIAGNOSES.items()}
    return {**texts, "sqnr.json": to_json(measurement()), "run1/diagnosis.json": texts["bad.json"]}


@pytest.fixture
def folder(stored: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "run1").mkdir()
    for name, text in stored.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # test processes set it, and lines are broken there
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "QDIAG_")):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("good.json --max-drop 1", 0),
        ("bad.json --max-drop 1", 1),
        ("run1 --max-drop 1", 1),
        ("sqnr.json --min-sqnr 3", 0),
        ("sqnr.json --min-sqnr 20", 1),
        ("sqnr.json --forbid QD301", 2),
        ("bad.json --forbid QD301", 1),
        ("good.json --forbid QD301", 0),
        ("repaired.json --max-drop 1", 1),
        ("repaired.json --max-drop 1 --allow-few-samples", 0),
        ("repaired.json --max-drop 1 --strict --allow-few-samples", 1),
        ("bad.json --warn-drop 1", 0),
        ("bad.json --min-layer-sqnr 5 --allow blocks.0.dw=4", 0),
        ("bad.json --min-layer-sqnr 5", 1),
        ("nan.json --min-sqnr -50", 2),
        ("good.json", 2),
        ("good.json --strict", 2),
        ("good.json --max-drop 1 --tolerance 1", 2),
        ("good.json --max-drop 1 --baseline absent.json", 2),
        ("absent.json --max-drop 1", 2),
        ("absent --max-drop 1", 2),
        ("good.json --max-drop nan", 2),
        ("good.json --max-drop x", 2),
        ("good.json --max-drop 1 --forbid QD999", 2),
        ("good.json --max-drop 1 --data photos", 2),
        ("good.json --max-drop 1 --scheme tf-uint8", 2),
        ("good.json --max-drop 1 --json - --markdown -", 2),
        ("good.json --max-drop 1 --json good.json", 2),
        ("good.json --max-drop 1 --junit nowhere/x.xml", 2),
        ("good.json --max-metric-drop 1", 0),
        ("bad.json --max-metric-drop 1", 1),
        ("depth.json --max-metric-drop 0.1", 1),
        ("depth.json --max-metric-drop 0.9", 0),
        ("depth.json --warn-metric-drop 0.1", 0),
        ("depth.json --max-metric 0.5", 1),
        ("depth.json --max-metric 0.95", 0),
        ("depth.json --min-metric 0.5", 2),
        ("good.json --max-metric 50", 2),
        ("depth.json --max-drop 1", 2),
        ("depth.json --max-flips 1", 2),
        ("none.json --max-metric-drop 1", 2),
        ("none.json --min-sqnr 1", 0),
        ("good.json --max-metric-drop nan", 2),
        ("good.json --max-drop 1 --task segment", 2),
        ("good.json --max-drop 1 --metric own.py:f", 2),
    ],
)
def test_exit_codes(folder: Path, line: str, code: int) -> None:
    assert run(["gate", *line.split()]) == code


def test_the_table_says_what_why_and_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", "bad.json", "--max-drop", "1"]) == 1
    out = capsys.readouterr().out
    assert "drop of top-1   67.4 pp" in out
    assert "QD301 dead BatchNorm channels" in out
    assert "qdiag fix-bn net.safetensors" in out
    assert out.splitlines()[-1] == "The gate failed: 1 of 1 check did not hold."
    assert run(["gate", "repaired.json", "--max-drop", "1", "--allow-few-samples"]) == 0
    assert "more samples would decide it" in capsys.readouterr().out


def test_without_a_threshold_the_hint_shows_how_to_set_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", "good.json"]) == 2
    err = capsys.readouterr().err
    assert "no threshold is set" in err
    assert "--max-drop 1" in err


def test_without_a_threshold_no_model_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qdiag.cli.commands.gate.measure_evidence", lambda *_, **__: pytest.fail("it was measured"))
    assert run(["gate", "zoo:resnet18"]) == 2
    assert "no threshold is set" in capsys.readouterr().err


def test_harm_that_no_limit_looks_at_is_said_everywhere(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    files = ["--junit", "g.xml", "--sarif", "g.sarif", "--markdown", "g.md", "--json", "g.json"]
    assert run(["gate", "depth.json", "--min-sqnr", "1", *files]) == 0
    out = capsys.readouterr().out
    assert "network      harmed: the loss of depth error is 0.674 m" in out
    assert "::warning title=qdiag%3A harm::harmed: the loss of depth error" in out
    out = " ".join(out.split())
    assert "No limit looks at depth error, though, which is beyond what counts as harm." in out
    for name in ("g.xml", "g.sarif", "g.md", "summary.md"):
        assert "no limit looks at it" in (folder / name).read_text(encoding="utf-8"), name
    assert json.loads((folder / "g.json").read_text("utf-8"))["harm"]["verdict"] == "harmed"


def test_the_tolerance_of_a_metric_needs_a_baseline_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--baseline", "base.json", "--tolerance-metric", "0.01"]
    assert run(["gate", "depth.json", *line, "--update-baseline"]) == 0
    assert run(["gate", "depth.json", *line]) == 0
    capsys.readouterr()
    assert run(["gate", "bad.json", *line]) == 2
    assert "the baseline has depth error, this result top-1" in capsys.readouterr().out


def test_a_diagnosis_of_an_older_form_is_refused_with_a_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = json.loads((folder / "good.json").read_text("utf-8"))
    (folder / "old.json").write_text(json.dumps({**plain, "schema_version": 1}), encoding="utf-8")
    assert run(["gate", "old.json", "--max-drop", "1"]) == 2
    err = capsys.readouterr().err
    assert "of form 1, which an older qdiag wrote" in err
    assert "measure the network anew" in err


def test_limits_of_files_and_environment_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "qdiag.toml").write_text("[gate]\nmax_drop = 1\n", encoding="utf-8")
    assert run(["gate", "bad.json"]) == 1
    monkeypatch.setenv("QDIAG_MAX_DROP", "90")
    assert run(["gate", "bad.json"]) == 0
    assert run(["gate", "bad.json", "--max-drop", "2"]) == 1
    monkeypatch.setenv("QDIAG_MAX_DORP", "90")
    assert run(["gate", "bad.json"]) == 2


def test_machine_clean_output(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["gate", "bad.json", "--max-drop", "1", "--json", "-"]) == 1
    captured = capfdbinary.readouterr()
    assert json.loads(captured.out)["status"] == "fail"
    assert captured.err == b""
    assert run(["gate", "bad.json", "--max-drop", "1", "--markdown", "-"]) == 1
    assert capfdbinary.readouterr().out.startswith(b"<!-- qdiag gate -->\n### ")


def test_a_baseline_is_written_compared_and_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--baseline", "base.json", "--tolerance", "0.5", "--no-new-causes"]
    assert run(["gate", "good.json", *line]) == 2
    assert "--update-baseline" in capsys.readouterr().err
    assert run(["gate", "good.json", *line, "--update-baseline"]) == 0
    assert "The baseline is written to base.json." in capsys.readouterr().err
    assert read_baseline(folder / "base.json").causes == ()
    first = (folder / "base.json").read_bytes()
    assert run(["gate", "good.json", *line, "--update-baseline"]) == 0
    assert (folder / "base.json").read_bytes() == first
    assert run(["gate", "good.json", *line]) == 0
    capsys.readouterr()
    assert run(["gate", "bad.json", *line]) == 1
    out = capsys.readouterr().out
    assert "+67.6 pp" in out
    assert "new: QD301" in out
    other = replace(
        diagnosis(), measurement=replace(diagnosis().measurement, data=replace(measurement().data, digest="0" * 64))
    )
    (folder / "other.json").write_text(diagnosis_to_json(other), encoding="utf-8")
    assert run(["gate", "other.json", *line]) == 2
    assert "--update-baseline --accept writes it anew" in capsys.readouterr().out


def test_an_infinite_figure_becomes_no_baseline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = diagnosis().measurement.task
    endless = metric("edit distance", 3.0, math.inf, higher_is_better=False)
    odd = replace(diagnosis().measurement, task=replace(task, figures=(*task.figures, endless)))
    (folder / "odd.json").write_text(to_json(odd), encoding="utf-8")
    assert run(["gate", "odd.json", "--baseline", "odd-base.json", "--update-baseline", "--accept"]) == 2
    assert "no baseline can be made of this" in capsys.readouterr().err
    assert not (folder / "odd-base.json").exists()


def test_the_default_baseline_and_limits_beside_an_update(folder: Path) -> None:
    line = ["gate", "bad.json", "--max-drop", "1", "--update-baseline"]
    assert run([*line, "--quiet"]) == 1
    assert not (folder / "qdiag-baseline.json").exists()
    assert run([*line, "--accept", "--quiet"]) == 1
    assert (folder / "qdiag-baseline.json").is_file()
    assert run(["gate", "bad.json", "--tolerance", "0.5"]) == 0


def test_no_baseline_of_what_cannot_be_judged(folder: Path) -> None:
    assert run(["gate", "nan.json", "--baseline", "b.json", "--update-baseline"]) == 2
    assert not (folder / "b.json").exists()


def test_an_unreadable_result_still_gives_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    text = (folder / "good.json").read_text(encoding="utf-8")
    (folder / "torn.json").write_text(text[: len(text) // 2], encoding="utf-8")
    assert run(["gate", "torn.json", "--max-drop", "1", "--junit", "g.xml", "--sarif", "g.sarif"]) == 2
    assert "<error" in (folder / "g.xml").read_text(encoding="utf-8")
    assert "could not judge" in (folder / "summary.md").read_text(encoding="utf-8")
    assert json.loads((folder / "g.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]


def test_annotations_only_where_github_reads_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["gate", "bad.json", "--max-drop", "1"]) == 1
    assert "::error" not in capsys.readouterr().out
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert run(["gate", "bad.json", "--max-drop", "1"]) == 1
    assert "::error title=qdiag%3A drop of top-1::" in capsys.readouterr().out
    assert run(["gate", "bad.json", "--max-drop", "1", "--json", "-"]) == 1
    assert "::error" in capsys.readouterr().err


def test_a_stored_result_is_judged_without_anything_heavy(folder: Path) -> None:
    script = (
        "import sys; from qdiag.cli.app import run;"
        "files = ['--junit', 'j.xml', '--sarif', 's.json', '--markdown', 'm.md'];"
        "code = run(['gate', 'bad.json', '--max-drop', '1', *files]);"
        "heavy = {'torch', 'pandas', 'matplotlib', 'numpy', 'jinja2', 'bokeh'} & set(sys.modules);"
        "sys.exit(f'{code} {heavy}' if heavy or code != 1 else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GITHUB_STEP_SUMMARY": str(folder / "s.md")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_output_is_repeatable(folder: Path) -> None:
    def texts(name: str) -> list[bytes]:
        files = [folder / f"{name}.{kind}" for kind in ("json", "xml", "sarif", "md")]
        options = zip(("--json", "--junit", "--sarif", "--markdown"), map(str, files), strict=True)
        assert run(["gate", "run1", "--max-drop", "1", *(word for pair in options for word in pair)]) == 1
        return [file.read_bytes() for file in files]

    assert texts("a") == texts("b")


@pytest.mark.parametrize("change", [lambda text: "", lambda text: "[1]", lambda text: "{}", lambda text: text + "}"])
def test_what_is_not_a_result_cannot_be_judged(
    folder: Path, change: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "good.json"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert run(["gate", "good.json", "--max-drop", "1"]) == 2
    err = capsys.readouterr().err
    assert "good.json" in err
    assert "hint" in err
    assert "Traceback" not in err
