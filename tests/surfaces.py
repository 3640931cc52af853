"""All surfaces of one diagnosis, as the words that a reader sees, held against each other."""

import html
import io
import re

from qdiag.cli.console import PrintableConsole
from qdiag.cli.tables.ranking import print_ranking
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.diagnosis import read
from qdiag.results.page import page_of
from qdiag.results.summary import diagnosis_summary
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report

_TYPESET = str.maketrans({"\N{MINUS SIGN}": "-", "\N{NO-BREAK SPACE}": " ", "\N{NON-BREAKING HYPHEN}": "-"})
_TABLES = ("terminal", "markdown", "html")


def surfaces_of(found: Diagnosis) -> dict[str, str]:
    """By name, without marks, line ends and typography."""
    pages = {"html": html_report(found), "notebook": page_of(found)}
    words = {name: _body(page) for name, page in pages.items()}
    words["markdown"] = re.sub(
        r"\\([^\w\s])", r"\1", html.unescape(markdown_report(found).replace(" \\\n", " "))
    ).replace("`", "")
    words["terminal"] = _terminal(found)
    words["summary"] = diagnosis_summary(found)
    return {name: " ".join(text.split()).lower() for name, text in words.items()}


def assert_surfaces_agree(found: Diagnosis) -> None:
    """All of them name the same causes, changes of scheme, commands, sentences and numbers, under the same labels."""
    reading, surfaces = read(found), surfaces_of(found)
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


def _assert_in(words: str, surfaces: dict[str, str]) -> None:
    wanted = " ".join(words.split()).lower()
    for name, text in surfaces.items():
        assert wanted in text, (name, words)


def _terminal(found: Diagnosis) -> str:
    """Wide enough that no line is broken."""
    file = io.StringIO()
    print_ranking(PrintableConsole(file=file, width=2000, highlight=False, color_system=None), found)
    return file.getvalue()


def _body(page: str) -> str:
    body = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    text = html.unescape(re.sub(r"</?(b|i|code|span|small|button|p|h\d)\b[^>]*>", "", body)).translate(_TYPESET)
    return re.sub(r"<[^>]+>", " ", text)
