"""`qdiag compare` from the outside: files in, tables out, exit codes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from qdiag.cli.app import run
from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import diagnosis, healthy_diagnosis, repaired_diagnosis, unlabelled_diagnosis, with_outcomes

Capture = pytest.CaptureFixture[str]


def store(folder: Path, whole: Diagnosis) -> str:
    folder.mkdir()
    (folder / "diagnosis.json").write_text(diagnosis_to_json(whole), encoding="utf-8")
    return str(folder)


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    return [
        store(tmp_path / "before", with_outcomes(diagnosis())),
        store(tmp_path / "after", with_outcomes(repaired_diagnosis())),
    ]


def test_folders_and_files_give_the_same_table(pair: list[str], capsys: Capture) -> None:
    assert run(["compare", *pair]) == 0
    from_folders = capsys.readouterr()
    assert run(["compare", *(f"{folder}/diagnosis.json" for folder in pair)]) == 0
    from_files = capsys.readouterr()
    assert from_folders.err == from_files.err == ""
    assert "Better: top-1 of the quantized network 9.0 % → 74.8 %" in from_folders.out
    tail = from_folders.out.index("Better:"), from_files.out.index("Better:")
    assert from_folders.out[tail[0] :] == from_files.out[tail[1] :]


def test_worse_is_no_failure(pair: list[str], capsys: Capture) -> None:
    assert run(["compare", *pair[::-1]]) == 0
    assert "Worse: top-1" in capsys.readouterr().out


def test_json_on_standard_output_is_all_there_is(pair: list[str], capsys: Capture) -> None:
    assert run(["compare", *pair, "--json", "-", "--quiet"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["task"]["figures"][0]["quantized"]["change"] == pytest.approx(65.8)
    assert plain["task"]["figures"][0]["quantized"]["paired_by"] == "samples"
    assert {cause["code"] for cause in plain["causes"] if cause["status"] == "gone"} == {"QD301", "QD101"}


def test_files_are_written_beside_the_table(pair: list[str], tmp_path: Path, capsys: Capture) -> None:
    json_file, markdown = tmp_path / "c.json", tmp_path / "c.md"
    assert run(["compare", *pair, "--json", str(json_file), "--markdown", str(markdown), "--top", "3"]) == 0
    assert "29 layers got better" in capsys.readouterr().out
    assert json.loads(json_file.read_text("utf-8"))["min_change_db"] == 1.0
    assert markdown.read_text("utf-8").count("| `blocks.") == 3


def test_markdown_on_standard_output(pair: list[str], capsys: Capture) -> None:
    assert run(["compare", *pair, "--markdown", "-"]) == 0
    assert capsys.readouterr().out.startswith("**Better:")


def test_the_smallest_change_that_counts_is_the_users(pair: list[str], capsys: Capture) -> None:
    assert run(["compare", *pair, "--min-change", "25", "--json", "-"]) == 0
    verdicts = [layer["verdict"] for layer in json.loads(capsys.readouterr().out)["layers"]]
    assert verdicts.count("better") == 3


def test_other_samples_are_refused_and_forced(tmp_path: Path, capsys: Capture) -> None:
    one = healthy_diagnosis()
    data = replace(one.measurement.data, digest="cd" * 32)
    other = replace(one, measurement=replace(one.measurement, data=data))
    pair = [store(tmp_path / "a", one), store(tmp_path / "b", other)]
    assert run(["compare", *pair]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "they were measured on other data" in shown.err
    assert "--force" in shown.err
    assert run(["compare", *pair, "--force"]) == 0
    assert "FORCED" in capsys.readouterr().out


def test_another_metric_is_refused(tmp_path: Path, capsys: Capture) -> None:
    pair = [store(tmp_path / "a", diagnosis()), store(tmp_path / "b", unlabelled_diagnosis())]
    assert run(["compare", *pair]) == 2
    assert "another metric" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [("{}", "not a diagnosis written by qdiag"), ("\x00", "not a diagnosis"), (None, "no such file")],
)
def test_what_is_no_diagnosis_gives_2(
    text: str | None, said: str, pair: list[str], tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "other.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    assert run(["compare", pair[0], str(file)]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert str(file) in shown


@pytest.mark.parametrize(
    "options",
    [
        ["--json", "-", "--markdown", "-"],
        ["--json", "same.txt", "--markdown", "same.txt"],
        ["--min-change", "-1"],
        ["--markdown", "no/such/folder/c.md"],
    ],
)
def test_wrong_usage_gives_2(
    options: list[str], pair: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["compare", *pair, *options]) == 2
    assert not (tmp_path / "same.txt").exists()


def test_neither_diagnosis_is_written_over(pair: list[str], capsys: Capture) -> None:
    file = Path(pair[0]) / "diagnosis.json"
    kept = file.read_bytes()
    assert run(["compare", *pair, "--json", str(file)]) == 2
    assert file.read_bytes() == kept
    assert "written over a file that is read" in capsys.readouterr().err


def test_it_starts_without_torch(pair: list[str]) -> None:
    code = (
        "import sys; from qdiag.cli.app import run; assert run(sys.argv[1:]) == 0; "
        "print(sorted({'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", *pair], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert done.stdout.splitlines()[-1] == "[]"
