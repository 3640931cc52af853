"""What README and docs say can be typed, clicked and measured."""

import csv
import io
import json
import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from rich.console import Console

import qdiag
from qdiag.cli.app import app
from qdiag.cli.tables.ranking import print_ranking
from qdiag.cli.tables.sqnr import print_measurement
from qdiag.config import preset_names
from qdiag.reading.words.causes import commands as repair_commands
from qdiag.reading.words.causes import headline
from qdiag.subject import Subject
from qdiag.writers.json.diagnosis import read_diagnosis

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "reports" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "reports" / "examples" / "demo"


def code_blocks(page: Path, language: str | None = None) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if language is None or name == language]


def lines_starting(word: str) -> list[tuple[str, str]]:
    return [
        (page.name, line)
        for page in PAGES
        for block in code_blocks(page)
        for line in block.splitlines()
        if line.startswith(f"{word} ")
    ]


@cache
def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


@pytest.mark.parametrize(("page", "line"), lines_starting("qdiag"))
def test_every_command_line_is_understood(page: str, line: str) -> None:
    del page
    _, name, *arguments = shlex.split(line, comments=True)
    with commands()[name].make_context(name, arguments) as context:
        assert context.params


def test_an_option_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(Exception, match="--plto"):
        commands()["sqnr"].make_context("sqnr", ["net.pt2", "--plto", "x.png"])


@pytest.mark.parametrize(("page", "line"), lines_starting("make"))
def test_every_make_target_exists(page: str, line: str) -> None:
    del page
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    target = shlex.split(line, comments=True)[1]
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_two_commands_of_a_newcomer_are_shown() -> None:
    shown = [line for page, line in lines_starting("make") if page == "README.md"]
    assert shown == ["make demo", "make test"]


@pytest.mark.parametrize("name", commands())
def test_every_command_is_in_the_table_of_the_readme(name: str) -> None:
    assert re.search(rf"^\| `qdiag {name}\b", README, re.MULTILINE)


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_described(name: str) -> None:
    assert f"| `{name}`" in (ROOT / "docs" / "schemes.md").read_text(encoding="utf-8")


def relative_links() -> list[tuple[Path, str]]:
    return [
        (page, target)
        for page in [*PAGES, ROOT / "CHANGELOG.md"]
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target
    ]


@pytest.mark.parametrize(("page", "target"), relative_links())
def test_links_lead_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


def test_every_page_is_linked_from_the_readme() -> None:
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"](docs/{page.name})" not in README] == []


def test_paths_named_in_docs_exist() -> None:
    named = {
        (page.name, path)
        for page in PAGES
        for path in re.findall(r"`((?:qdiag|tests|tools|benchmarks|configs)/[\w./]+)`", page.read_text("utf-8"))
        if "NAME" not in path
    }
    assert len(named) > 20
    assert [(page, path) for page, path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_table_of_layers_is_that_of_the_example() -> None:
    with (EXAMPLE / "layers.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["layer"]: row for row in csv.DictReader(file)}
    columns = ("local_sqnr_db", "propagated_sqnr_db", "drop_db", "expected_sqnr_db")
    shown = 0
    for line in (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines():
        words = line.removeprefix(">>").removeprefix(">!").removeprefix(" !").split()
        if words and words[0] in rows and line[:3] in (">> ", ">! ", " ! ", "   "):
            row = rows[words[0]]
            assert words[-4:] == [f"{float(row[c]):.1f}" if row[c] else "-" for c in columns]
            shown += 1
    assert shown >= 5


def test_the_diagnosis_in_the_readme_is_that_of_the_example() -> None:
    file = io.StringIO()
    print_ranking(Console(file=file, width=120, highlight=False, color_system=None), read_diagnosis(EXAMPLE))
    printed = {line.rstrip() for line in file.getvalue().splitlines()}
    (block,) = (block for block in code_blocks(ROOT / "README.md") if block.startswith("Quantization costs"))
    lines = block.splitlines()
    assert [line for line in lines if line not in printed] == []
    assert len(lines) > 10


def test_the_example_is_what_is_drawn_from_its_diagnosis() -> None:
    found = read_diagnosis(EXAMPLE)
    written = (EXAMPLE / "report.md").read_text(encoding="utf-8")
    assert headline(found) in written
    assert repair_commands(found)[0] in written.replace(" \\\n    ", " ")
    linked = re.findall(r"\]\((plots/[^)]+)\)", written)
    assert len(linked) > 8
    assert [name for name in linked if not (EXAMPLE / name).is_file()] == []
    assert headline(found).partition(".")[0] in (EXAMPLE / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def diagnose_once() -> Callable[..., qdiag.Diagnosis]:
    """As `qdiag.diagnose`; all examples ask for the same, which is computed once and compared."""
    made: list[tuple[Any, qdiag.Diagnosis]] = []
    diagnose = qdiag.diagnose

    def once(model: Subject, data: Any, *, calibration: Any, scheme: str) -> qdiag.Diagnosis:
        asked = [model.model.state_dict(), data, calibration, scheme]  # type: ignore[union-attr]
        if not made:
            made.append((asked, diagnose(model, data, calibration=calibration, scheme=scheme)))
        same, found = made[0]
        torch.testing.assert_close(asked[:3], same[:3], rtol=0.0, atol=0.0)
        assert scheme == same[3]
        return found

    return once


@pytest.mark.parametrize("page", ["README.md", "docs/diagnose.md", "docs/tutorial.md"])
def test_the_python_example_prints_what_it_says(
    page: str,
    diagnose_once: Callable[..., qdiag.Diagnosis],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (block,) = code_blocks(ROOT / page, "python")
    said = re.findall(r"^ *print\(.*\)  # (.*)$", block, re.MULTILINE)
    monkeypatch.chdir(tmp_path)  # no example needs a checkout
    monkeypatch.setattr(qdiag, "diagnose", diagnose_once)
    exec(compile(block, page, "exec"), {})
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines() == said
    assert len(said) >= 3


def test_the_sentences_below_the_table_of_layers_are_those_of_the_example() -> None:
    file = io.StringIO()
    console = Console(file=file, width=120, highlight=False, color_system=None)
    print_measurement(console, read_diagnosis(EXAMPLE).measurement, "graph", "local", None)
    (block,) = (block for block in code_blocks(ROOT / "docs" / "metrics.md") if block.startswith("task "))
    printed = " ".join(file.getvalue().split())
    for paragraph in (block.split("\n\n")[0], block.split("\n\n")[-1]):
        assert " ".join(paragraph.removeprefix("task").split()) in printed


def test_the_table_in_the_page_on_notebooks_is_that_of_the_notebook() -> None:
    """Whose cells are run by the tests of notebooks."""
    (block,) = (b for b in code_blocks(ROOT / "docs" / "notebooks.md") if "best_repair" in b)
    shown = json.loads((ROOT / "docs" / "notebooks" / "stored_diagnosis.ipynb").read_text(encoding="utf-8"))
    texts = [
        "".join(output["data"]["text/plain"])
        for cell in shown["cells"]
        for output in cell.get("outputs", ())
        if "text/plain" in output.get("data", {})
    ]
    assert block.strip("\n") in texts
