"""Hostile names on every surface: nothing that a terminal, a browser, a spreadsheet or a CI system would act on."""

import csv
import io
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.text import Text

from qdiag.compare.diagnoses import compare_diagnoses
from qdiag.core.compare import Comparison
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.gate import GateResult
from qdiag.gate.baseline import make_baseline
from qdiag.gate.judge import judge
from qdiag.reading.words.commands.repairing import commands
from qdiag.reading.words.commands.shell import quoted
from qdiag.reading.words.diagnosis_ranges import range_report_of
from qdiag.writers.ci.github_actions import annotations
from qdiag.writers.ci.junit import gate_junit
from qdiag.writers.ci.sarif import gate_sarif
from qdiag.writers.csv.bn import bn_csv
from qdiag.writers.csv.branches import branch_csv
from qdiag.writers.csv.diagnosis import diagnosis_layer_csv
from qdiag.writers.csv.fold import fold_csv
from qdiag.writers.csv.layers import layer_csv, range_csv
from qdiag.writers.html.report import html_report
from qdiag.writers.json.baseline import baseline_to_json
from qdiag.writers.json.diagnosis import diagnosis_from_json, diagnosis_to_json
from qdiag.writers.json.gate import gate_to_json
from qdiag.writers.markdown.compare import comparison_markdown
from qdiag.writers.markdown.gate import gate_markdown
from qdiag.writers.markdown.report import markdown_report
from qdiag.writers.markdown.text import PictureLink, fenced
from qdiag.writers.plots.drawing.figure import figure_bytes
from qdiag.writers.plots.pictures import report_pictures
from tests.branch_reports import branch_report
from tests.diagnoses import batchnorms, diagnosis, healthy_diagnosis, repaired_diagnosis, unlabelled_diagnosis
from tests.fold_reports import fold_report
from tests.foreign import FORMULA, HOSTILE, assert_clean, hostile
from tests.gates import EVERYTHING, evidence
from tests.other_tasks import judged_by_error


def of_another_task() -> Diagnosis:
    """Whose metric, with its unit, is the user's."""
    return judged_by_error(diagnosis())


MADE = (diagnosis, repaired_diagnosis, healthy_diagnosis, unlabelled_diagnosis, of_another_task)


def gate_result() -> GateResult:
    judged = judge(evidence(hostile(diagnosis())), EVERYTHING, make_baseline(evidence(hostile(healthy_diagnosis()))))
    return replace(judged, source=HOSTILE, notes=(HOSTILE,))


def comparison() -> Comparison:
    return compare_diagnoses(
        hostile(diagnosis()), hostile(repaired_diagnosis()), source_before=HOSTILE, source_after=HOSTILE, force=True
    )


def links(of: Diagnosis) -> list[PictureLink]:
    return [PictureLink(p.section, p.alt, f"plots/{p.name}.png", p.layer) for p in report_pictures(of)]


SURFACES: dict[str, Callable[[], str]] = {
    "report.md": lambda: markdown_report(hostile(diagnosis()), links(hostile(diagnosis()))),
    "comparison.md": lambda: comparison_markdown(comparison(), 25),
    "gate.md": lambda: gate_markdown(gate_result()),
    "report.html": lambda: html_report(hostile(diagnosis()), hostile(repaired_diagnosis())),
    "report.md of another task": lambda: markdown_report(hostile(of_another_task())),
    "report.html of another task": lambda: html_report(hostile(of_another_task())),
    "layers.csv": lambda: diagnosis_layer_csv(hostile(diagnosis())),
    "sqnr.csv": lambda: layer_csv(hostile(diagnosis()).measurement),
    "ranges.csv": lambda: range_csv(range_report_of(hostile(diagnosis()))),
    "bn.csv": lambda: bn_csv(hostile(batchnorms())),
    "branches.csv": lambda: branch_csv(hostile(branch_report())),
    "fold.csv": lambda: fold_csv(hostile(fold_report())),
    "gate.xml": lambda: gate_junit(gate_result()),
    "gate.sarif": lambda: gate_sarif(gate_result(), "1.0"),
    "gate.json": lambda: gate_to_json(gate_result()),
    "diagnosis.json": lambda: diagnosis_to_json(hostile(diagnosis())),
    "baseline.json": lambda: baseline_to_json(make_baseline(evidence(hostile(diagnosis())))),
    "annotations": lambda: "\n".join(line.removeprefix("::") for line in annotations(gate_result())),
    "commands": lambda: "\n".join(commands(hostile(diagnosis()))),
}
"""Everything that writes text; a new writer is put here, or the last test of this file asks for it."""


@pytest.mark.parametrize("surface", SURFACES)
def test_no_surface_lets_a_name_act(surface: str) -> None:
    text = SURFACES[surface]()
    assert "uffff" in text or "\\357\\277\\277" in text, "the names did not get here"
    assert_clean(text, where=surface)
    text.encode("utf-8")


DRAWN: set[str] = set()
"""Texts that were drawn and found clean, figures apart; how one is written does not depend on the picture around it."""


@pytest.mark.usefixtures("one_layer_drawn")
@pytest.mark.parametrize("make", MADE)
def test_no_picture_lets_a_name_act_and_all_are_xml(make: Callable[[], Diagnosis]) -> None:
    for picture in report_pictures(hostile(make())):
        assert re.fullmatch(r"[\w.-]+", picture.name)
        figure = picture.draw()
        written = {text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)}
        words = {re.sub(r"\d+", "0", text) for text in written if re.search(r"[^\W\d]", text)}
        if words <= DRAWN:  # in pictures of other diagnoses, where each was looked at
            continue
        DRAWN.update(words)
        figure.set_layout_engine(None)  # where the texts stand is half of the time, and nothing to what is in them
        text = figure_bytes(figure, "svg").decode("utf-8")
        assert_clean(text, where=picture.name)
        ElementTree.fromstring(text)
        assert figure_bytes(figure, "png").startswith(b"\x89PNG")


def test_the_comment_and_the_report_have_no_markup_but_their_own() -> None:
    for surface in ("report.md", "comparison.md", "gate.md"):
        text = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", SURFACES[surface]())
        bare = re.sub(r"<summary>.*</summary>|(`+)(?!`).+?(?<!`)\1(?!`)", "", text)  # no Markdown in HTML
        assert not re.search(r"(?<!\\)<script", bare)
        assert not re.search(r"(?<!\\)@all", bare)
        assert not re.search(r"(?<!\\)!\[a\]", bare)


def test_the_page_has_no_script_but_its_own() -> None:
    found: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            found.append(tag)

    counts = []
    for page in (SURFACES["report.html"](), html_report(diagnosis(), repaired_diagnosis())):
        found.clear()
        Parser().feed(page)
        counts.append(found.count("script"))
    assert counts[0] == counts[1] > 0


def test_junit_is_xml_and_sarif_is_json() -> None:
    root = ElementTree.fromstring(SURFACES["gate.xml"]().split("\n", 1)[1])
    assert len(list(root.iter("testcase"))) == len(gate_result().checks)
    assert json.loads(SURFACES["gate.sarif"]())["runs"][0]["results"]


def test_stored_names_come_back_as_they_were() -> None:
    tidy = hostile(diagnosis(), lambda text: f"{text}\n\x1b\x9b\u202e\u2028\x7f::e")  # halves of pairs are no JSON
    text = diagnosis_to_json(tidy)
    back = diagnosis_from_json(text)
    assert diagnosis_to_json(back) == text  # NaN does not equal itself
    assert [record.name for record in back.measurement.records] == [record.name for record in tidy.measurement.records]


@pytest.mark.parametrize("first", ["=", "+", "-", "@", " =", "\t="])
@pytest.mark.parametrize("surface", ["layers.csv", "sqnr.csv", "ranges.csv", "bn.csv"])
def test_no_cell_is_a_formula(surface: str, first: str) -> None:
    def formula(text: str) -> str:
        return f'{first}{text}{FORMULA},"\n'

    texts = {
        "layers.csv": lambda: diagnosis_layer_csv(hostile(diagnosis(), formula)),
        "sqnr.csv": lambda: layer_csv(hostile(diagnosis(), formula).measurement),
        "ranges.csv": lambda: range_csv(range_report_of(hostile(diagnosis(), formula))),
        "bn.csv": lambda: bn_csv(hostile(batchnorms(), formula)),
        "branches.csv": lambda: branch_csv(hostile(branch_report(), formula)),
        "fold.csv": lambda: fold_csv(hostile(fold_report(), formula)),
    }
    rows = list(csv.reader(io.StringIO(texts[surface]())))
    assert len({len(row) for row in rows}) == 1
    cells = [cell for row in rows for cell in row]
    assert any(FORMULA in cell for cell in cells)
    for cell in cells:
        try:
            float(cell)
        except ValueError:
            assert not cell.lstrip().startswith(("=", "+", "-", "@")), cell


def test_a_fence_is_longer_than_what_it_holds() -> None:
    text = fenced(["echo '````'", "```"], "sh")
    lines = text.split("\n")
    assert lines[0] == "`````sh"
    assert lines[-1] == "`````"


WORDS = ["plain", "a b", "it's", "$HOME", "a\nb", "\x1b[31m'\\", "\u202eé", "\udcff", "```", "\t", "a\\nb", "--x", ""]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_survives_the_shell_on_one_line(word: str) -> None:
    line = quoted(word)
    assert_clean(line)
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    assert done.stdout == word.encode("utf-8", "surrogateescape") + b"\0"


def test_a_model_that_begins_with_a_dash_is_no_option() -> None:
    made = diagnosis()
    model = replace(made.measurement.model, source="-x net.safetensors")
    lines = commands(replace(made, measurement=replace(made.measurement, model=model)))
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[2].startswith("./-x net")
        assert not any(word.startswith("-x") for word in words)
    (head, *_) = (shlex.split(line) for line in lines)
    assert head[head.index("-o") + 1].startswith("./-x net.fixed")


def test_every_writer_is_walked() -> None:
    """Every public function of the writers that returns text is on a surface above, or is a part of one that is."""
    walked = Path(__file__).read_text(encoding="utf-8")
    root = Path(__file__).resolve().parents[3] / "qdiag" / "writers"
    parts = {
        *("dump", "result_to_json", "to_json", "comparison_to_json", "sensitivity_to_json"),  # through `dump`
        "csv_text",
    }
    for path in sorted(
        [*root.glob("csv/*.py"), *root.glob("ci/*.py"), *root.glob("json/*.py"), *root.glob("html/report.py")]
    ):
        if path.name == "text.py":
            continue
        for name in re.findall(r"^def ([a-z]\w*)\([^)]*\) -> str:", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert name in parts or f"{name}(" in walked, f"{path.name}: {name}"
