"""All surfaces of one diagnosis, as the words that a reader sees, held against each other."""

import html
import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from qdiag.cli.console import PrintableConsole
from qdiag.cli.tables.ranking import print_ranking
from qdiag.cli.tables.sqnr import print_measurement
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.diagnosis import read
from qdiag.reading.layers.columns import LAYER, LayerColumn, column_title, layer_columns
from qdiag.reading.layers.entry import diagnosed_entries, measured_entries, worst_layers
from qdiag.results.page import page_of
from qdiag.results.summary import diagnosis_summary
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report

_TYPESET = str.maketrans({"\N{MINUS SIGN}": "-", "\N{NO-BREAK SPACE}": " ", "\N{NON-BREAKING HYPHEN}": "-"})
_TABLES = ("terminal", "markdown", "html")


@dataclass(frozen=True)
class Reports:
    """The texts of report.md and report.html, which take as long to write as all else here."""

    markdown: str
    html: str


def reports_of(found: Diagnosis) -> Reports:
    return Reports(markdown_report(found), html_report(found))


def surfaces_of(found: Diagnosis, reports: Reports | None = None) -> dict[str, str]:
    """By name, without marks, line ends and typography.

    Args:
        reports: of the diagnosis, where they are written already.
    """
    reports = reports or reports_of(found)
    pages = {"html": reports.html, "notebook": _page(found)}
    words = {name: _body(page) for name, page in pages.items()}
    words["markdown"] = re.sub(r"\\([^\w\s])", r"\1", html.unescape(reports.markdown.replace(" \\\n", " "))).replace(
        "`", ""
    )
    words["terminal"] = _terminal(found)
    words["summary"] = diagnosis_summary(found)
    return {name: " ".join(text.split()).lower() for name, text in words.items()}


def assert_surfaces_agree(found: Diagnosis, reports: Reports | None = None) -> None:
    """All of them name the same causes, changes of scheme, commands, sentences and numbers, under the same labels."""
    reading, surfaces = read(found), surfaces_of(found, reports)
    everywhere = [reading.headline]
    for row in reading.suspects:
        everywhere += [f"{row.code} {row.title}", row.verdict]
    for proposal in reading.proposals:
        everywhere += [proposal.title, *proposal.commands, *proposal.remarks]
    for words in everywhere:
        _assert_in(words, surfaces)
    in_tables = {name: surfaces[name] for name in _TABLES}
    told = {name: text for name, text in surfaces.items() if name != "notebook"}
    for change in reading.changes:
        _assert_in(change.title, told)
        _assert_in(change.tried.afterwards, told)
    for row in reading.suspects:
        if row.best is not None and row.best.recovers is not None:
            _assert_in(row.best.recovers.number, in_tables)
        for finding in row.also:
            assert finding.code in found.ranking.findings or finding.finding in row.cause.findings
    for finding in reading.untried:
        _assert_in(f"{finding.code} {finding.title}", in_tables)
        for evidence in finding.evidence:
            _assert_in(evidence, in_tables)
    for step in reading.sequence.steps:
        for words in (step.repair, step.afterwards if found.ranking.criterion is None else "", step.recovers.words):
            _assert_in(words, in_tables)
    if reading.sequence.remainder is not None and reading.sequence.steps and found.ranking.remainder != 0.0:
        _assert_in(reading.sequence.remainder.words, in_tables)
    for sentence in (*reading.sequence.parts, *reading.notes, reading.effort, *reading.training):
        _assert_in(sentence, in_tables)


def assert_layer_tables_agree(found: Diagnosis, reports: Reports) -> None:
    """All tables of layers have the same columns, in the same order and unit, and the same figures in each row."""
    entries = diagnosed_entries(found)
    columns = layer_columns(entries)
    titles = [LAYER, *(column_title(column) for column in columns)]
    surfaces = {
        "markdown": _markdown_table(reports.markdown),
        "notebook": _html_table(_page(found)),
        "html": _html_table(reports.html),
    }
    shown = [entry for entry in entries if entry.record in worst_layers(found)]
    for name, (header, rows) in surfaces.items():
        own = entries if name == "html" else shown
        # a page that shows fewer layers leaves out the columns that say nothing of these
        known = layer_columns(own)
        labels = [LAYER, *(column_title(column) for column in known)]
        assert [one for one in titles if one in labels] == labels
        assert header == ["#", *labels], name
        assert [row[0] for row in rows] == [str(entry.record.index) for entry in own], name
        for entry, row in zip(own, rows, strict=True):
            assert row[2:] == [" ".join(column.words(entry).split()) for column in known], (name, entry.record.name)
    _assert_terminal_has(found, columns)


def _assert_terminal_has(found: Diagnosis, columns: Sequence[LayerColumn]) -> None:
    """The terminal shows what was measured, and so has no findings, no sensitivity and no channel shifts."""
    file = io.StringIO()
    console = PrintableConsole(file=file, width=2000, highlight=False, color_system=None)
    print_measurement(console, found.measurement, "graph", "local", 0)
    lines = file.getvalue().splitlines()
    measured = measured_entries(found.measurement.records)
    known = layer_columns(measured)
    at = next(i for i, line in enumerate(lines) if line.startswith("layer "))
    for column in known:
        for word in (*column.label.split(), column.unit):
            assert word in f"{lines[at - 1]} {lines[at]}", word
    labels = [column.label for column in known]
    assert labels == [column.label for column in columns if column.label in labels]
    rows = lines[at + 2 : at + 2 + len(measured)]
    for entry, line in zip(measured, rows, strict=True):
        cells = [column.words(entry) for column in known]
        assert line.split()[-len(" ".join(cells).split()) :] == " ".join(cells).split(), entry.record.name


def _markdown_table(report: str) -> tuple[list[str], list[list[str]]]:
    lines = report.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("| # | layer |"))
    rows = list(itertools.takewhile(lambda line: line.startswith("|"), lines[at:]))
    cells = [[html.unescape(cell.strip()) for cell in row.strip("|").split("|")] for row in rows]
    plain = [[re.sub(r"\\([^\w\s])", r"\1", cell) for cell in row] for row in cells]
    return plain[0], plain[2:]


def _html_table(page: str) -> tuple[list[str], list[list[str]]]:
    """The one whose first column is `#`; units stand in small letters or in brackets."""
    tables = re.findall(r"<table.*?</table>", page, flags=re.DOTALL)
    (own,) = [one for one in tables if re.match(r"#\b|#$", _cells(one)[0][0])]
    header, *rows = _cells(own)
    return [header[0], *(word[:1].lower() + word[1:] if word != "NaN, Inf" else word for word in header[1:])], rows


def _cells(table: str) -> list[list[str]]:
    rows = re.findall(r"<tr.*?</tr>", table, flags=re.DOTALL)
    return [[_plain(cell) for cell in re.findall(r"<t[hd]\b.*?</t[hd]>", row, flags=re.DOTALL)] for row in rows]


def _plain(cell: str) -> str:
    words = re.sub(r"<small>(.*?)</small>", r"[\1]", cell)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", words)).translate(_TYPESET).split())


def _assert_in(words: str, surfaces: dict[str, str]) -> None:
    wanted = " ".join(words.split()).lower()
    for name, text in surfaces.items():
        assert wanted in text, (name, words)


def _page(found: Diagnosis) -> str:
    """What a notebook shows, but for its picture, which no word depends on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdiag.results.page._picture", lambda result: "")
        return page_of(found)


def _terminal(found: Diagnosis) -> str:
    """Wide enough that no line is broken."""
    file = io.StringIO()
    print_ranking(PrintableConsole(file=file, width=2000, highlight=False, color_system=None), found)
    return file.getvalue()


def _body(page: str) -> str:
    body = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    text = html.unescape(re.sub(r"</?(b|i|code|span|small|button|p|h\d)\b[^>]*>", "", body)).translate(_TYPESET)
    return re.sub(r"<[^>]+>", " ", text)
