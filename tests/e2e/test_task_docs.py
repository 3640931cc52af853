"""Every example of docs/tasks.md does what is said of it."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from qdiag.cli.app import run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
FILES = {text.partition("\n")[0].removeprefix("# "): text for language, text in BLOCKS if language == "python"}
LINES = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines()]
SECTIONS = ("Classification", "Detection", "Segmentation", "Regression", "Embeddings", "Speech and text")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_task_has_a_section_with_a_network_and_commands() -> None:
    found = dict(
        zip(re.findall(r"^## (.*)$", PAGE, re.MULTILINE), re.split(r"^## .*$", PAGE, flags=re.M)[1:], strict=True)
    )
    assert tuple(found) == SECTIONS
    assert all(
        "```python\n# " in text and "\nqdiag sqnr " in text and "\nqdiag gate " in text for text in found.values()
    )
    marked = [sum(mark in line for mark in ("# judged by ", "# exit code ")) for line in LINES]
    assert len(LINES) > 20 and [n for n, line in zip(marked, LINES, strict=True) if n != ("#" in line)] == []
    assert {language for language, _ in BLOCKS} == {"python", "bash"}, "examples that no test runs"
    assert len(FILES) == len(SECTIONS) and all(re.fullmatch(r"\w+\.py", name) for name in FILES)


@pytest.mark.parametrize("line", [line for line in LINES if "# judged by" in line])
def test_the_figure_that_judges(line: str, folder: Path) -> None:
    _, *words = shlex.split(line, comments=True)
    assert run([*words, "--quiet", "--json", "result.json"]) == 0
    task = json.loads((folder / "result.json").read_text())["task"]
    names = [figure["criterion"]["name"] for figure in task["figures"]]
    assert (names or ["SQNR"])[0] == line.partition("# judged by ")[2].strip()


@pytest.mark.parametrize("line", [line for line in LINES if "# exit code" in line])
def test_exit_codes(line: str, folder: Path) -> None:
    _, *words = shlex.split(line, comments=True)
    assert run([*words, "--quiet"]) == int(line.partition("# exit code ")[2])


def test_other_commands_need_torchmetrics(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = [line for line in LINES if "#" not in line]
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    _, *words = shlex.split(line)
    assert run([*words, "--quiet"]) == 2
    assert "qdiag[metrics]" in capsys.readouterr().err
