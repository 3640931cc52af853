"""Hostile names on the terminal and in logs: tables, errors and remarks, with and without GitHub Actions."""

import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.rich_utils  # noqa: F401 - reads GITHUB_ACTIONS when it is imported, for all that comes after
from rich.console import Console
from rich.text import Text

from qdiag.cli.app import run
from qdiag.cli.console import OwnLines, PrintableConsole, print_error, remark, stdout_console
from qdiag.cli.streams import Stream, guarded_streams
from qdiag.cli.tables.bn import print_audit
from qdiag.cli.tables.branches import print_branches
from qdiag.cli.tables.compare import print_comparison
from qdiag.cli.tables.fold import print_fold
from qdiag.cli.tables.gate import print_gate
from qdiag.cli.tables.ranges import print_ranges
from qdiag.cli.tables.ranking import print_ranking
from qdiag.cli.tables.sensitivity import print_sensitivity
from qdiag.cli.tables.sqnr import print_measurement
from qdiag.cli.tables.training.qat import print_training
from qdiag.compare.diagnoses import compare_diagnoses
from qdiag.core.diagnosis import Diagnosis
from qdiag.errors import QdiagError
from qdiag.gate.judge import judge
from qdiag.reading.words.diagnosis_ranges import range_report_of
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.branch_reports import branch_report
from tests.diagnoses import batchnorms, diagnosis, healthy_diagnosis, repaired_diagnosis
from tests.fold_reports import fold_report
from tests.foreign import HOSTILE, assert_clean, hostile
from tests.gates import EVERYTHING, evidence
from tests.other_tasks import judged_by_error
from tests.trainings import training

Capture = pytest.CaptureFixture[str]


def bad() -> Diagnosis:
    return hostile(diagnosis())


def show_comparison(console: Console) -> None:
    compared = compare_diagnoses(
        bad(), hostile(repaired_diagnosis()), source_before=HOSTILE, source_after="x", force=True
    )
    print_comparison(console, compared, None)


def show_sweep(console: Console) -> None:
    sweep = bad().sensitivity
    assert sweep is not None
    print_sensitivity(console, sweep, None)


TABLES: dict[str, Callable[[Console], None]] = {
    "sqnr": lambda console: print_measurement(console, bad().measurement, "worst", "local", 0),
    "ranking": lambda console: print_ranking(console, bad()),
    "ranking of another task": lambda console: print_ranking(console, hostile(judged_by_error(diagnosis()))),
    "bn": lambda console: print_audit(console, hostile(batchnorms()), "worst", 0),
    "branches": lambda console: print_branches(console, hostile(branch_report()), "worst", None),
    "fold": lambda console: print_fold(console, hostile(fold_report()), "worst", None),
    "training": lambda console: print_training(console, hostile(training())),
    "ranges": lambda console: print_ranges(console, range_report_of(bad())),
    "gate": lambda console: print_gate(console, judge(evidence(bad()), EVERYTHING)),
    "comparison": show_comparison,
    "sensitivity": show_sweep,
    "error": lambda console: print_error(QdiagError(HOSTILE, at=HOSTILE, hint=HOSTILE)),
    "remark": lambda console: remark(HOSTILE, quiet=False),
}


@pytest.mark.parametrize("columns", ["60", "160"])
@pytest.mark.parametrize("table", TABLES)
def test_no_table_lets_a_name_act(table: str, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("COLUMNS", columns)
    with guarded_streams():
        TABLES[table](stdout_console())
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert text.strip()
    assert_clean(text, where=table)
    assert "##[" not in text


def test_every_table_is_walked() -> None:
    """Those that commands print; the tables of repairs are made of the same parts."""
    root = Path(__file__).resolve().parents[3] / "qdiag" / "cli" / "commands"
    commands = "".join(path.read_text(encoding="utf-8") for path in root.glob("*.py"))
    walked = Path(__file__).read_text(encoding="utf-8")
    names = set(re.findall(r"from qdiag\.cli\.tables\.\w+ import (print_\w+)", commands))
    assert len(names) >= 7
    assert [name for name in names - {"print_fix", "print_repair"} if f"{name}(" not in walked] == []


def test_there_is_no_other_console() -> None:
    root = Path(__file__).resolve().parents[3] / "qdiag"
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8").replace("PrintableConsole(", "").replace("class PrintableConsole", "")
        assert " Console(" not in text.replace("class  Console(Console)", ""), path


@pytest.mark.parametrize(
    "line",
    [
        "gate bad --max-drop 1",
        "gate bad --forbid QD301 --markdown -",
        "compare bad good",
        "report bad -o out --format md",
    ],
)
def test_commands_on_hostile_results(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, made in (("bad", diagnosis()), ("good", healthy_diagnosis())):
        (tmp_path / name).mkdir()
        text = diagnosis_to_json(hostile(made, lambda text: f"{text}{HOSTILE}".replace("\udcff", "")))
        (tmp_path / name / "diagnosis.json").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "QDIAG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert run(line.split()) in (0, 1)
    captured = capfd.readouterr()
    for text in (captured.out, captured.err):
        commands = [row for row in text.split("\n") if row.startswith("::")]
        assert all("title=qdiag%3A " in row for row in commands)
        assert_clean("\n".join(row.removeprefix("::") for row in text.split("\n")), where=line)


@pytest.mark.parametrize("name", ["\x1b[31mx", "a\n::error::b", "::warning::x", "\u202egnp"])
def test_errors_about_arguments(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for words in (["sqnr", name], ["explain", name], [name], ["sqnr", f"--{name}"], ["sqnr", "x", "--top", name]):
        assert run(words) == 2
        captured = capsys.readouterr()
        text = captured.err + captured.out
        assert text
        styles = re.compile(r"\x1b\[[0-9;]*m")  # those of usage errors, which typer sets under GitHub Actions
        assert_clean(styles.sub("", text), where=repr(words))


def test_styles_of_our_own_stay_on_a_terminal() -> None:
    file = io.StringIO()
    console = PrintableConsole(file=file, force_terminal=True, color_system="standard", width=40)
    console.print(Text.assemble(("a\x1b", "bold"), ("b\nc", "red")))
    assert file.getvalue() == "\x1b[1ma\\x1b\x1b[0m\x1b[31mb\\nc\x1b[0m\n"


class Pieces:
    """A stream that keeps what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        return

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize(
    "pieces",
    [["::error::x\n"], [":", ":error::x\n"], ["  ", "::e\n"], ["a\n::b\n"], ["\t:", ":x\n"], ["##[x]\n"], ["a##[x\n"]],
)
def test_no_line_becomes_a_workflow_command_in_pieces(pieces: list[str]) -> None:
    kept = Pieces()
    stream = Stream(kept, defuses=True)  # type: ignore[arg-type]
    for piece in pieces:
        stream.write(piece)
    for line in kept.text.split("\n"):
        assert not line.lstrip().startswith("::"), line
        assert "##[" not in line
    assert json.dumps("".join(pieces)).replace(" ", "").replace("\\\\t", "\\t") == json.dumps(kept.text).replace(
        " ", ""
    ).replace("\\\\t", "\\t")


def test_streams_are_given_back() -> None:
    before = sys.stdout, sys.stderr
    run(["schemes"])
    assert (sys.stdout, sys.stderr) == before


def test_paragraphs_of_our_own_stay_paragraphs(capsys: Capture) -> None:
    with guarded_streams():
        stdout_console().print(OwnLines("One.\n\nTwo."), width=40)
        stdout_console().print(Text("a name\nwith a line of its own"))
    assert capsys.readouterr().out == "One.\n\nTwo.\na name\\nwith a line of its own\n"
