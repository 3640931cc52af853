"""A gate as Markdown: a comment for a pull request, and the summary of a step in GitHub Actions."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from qdiag.core.gate import GateCheck, GateResult, GateStatus
from qdiag.files.atomic import append_file
from qdiag.reading.words.gate import (
    STATUS_WORDS,
    bounds_words,
    change_words,
    check_title,
    detail_lines,
    figure_words,
    harm_line,
    limit_words,
    named_cause_words,
    shown_checks,
    verdict_words,
)
from qdiag.reading.words.numbers import count_noun, number
from qdiag.reading.words.size import size_words
from qdiag.writers.markdown.github_text import code, plain, within
from qdiag.writers.markdown.text import fenced

MARKER = "<!-- qdiag gate -->"
"""First line of a comment, so that a job can find its own and replace it."""

COMMENT_BYTES_AT_MOST = 60_000
"""GitHub refuses comments beyond 65,536 characters."""

SUMMARY_BYTES_AT_MOST = 900_000
"""A step summary beyond 1 MiB is not shown at all."""

_SIGNS: dict[GateStatus, str] = {"pass": "✅", "warn": "⚠️", "undecided": "❔", "cannot_judge": "⛔", "fail": "❌"}
_CUT = "\n_Cut here: the whole result is in the JSON of the gate._\n"


def gate_markdown(result: GateResult, at_most: int = COMMENT_BYTES_AT_MOST) -> str:
    """Verdict, then limit, baseline, now, change and status of every check, then causes, layers and provenance."""
    return within("\n".join(_lines(result)) + "\n", at_most, _CUT)


def append_summary(path: str | Path, result: GateResult) -> None:
    """Adds the gate to the file that `GITHUB_STEP_SUMMARY` names; what other steps' tools wrote there stays.

    The whole file stays under the limit of a summary, or GitHub would show none of it.

    Raises:
        WriteError: the file cannot be written.
    """
    file = Path(path)
    taken = file.stat().st_size if file.is_file() else 0
    text = gate_markdown(result, max(0, SUMMARY_BYTES_AT_MOST - taken)).removeprefix(f"{MARKER}\n")
    append_file(file, f"{text}\n")


def _lines(result: GateResult) -> Iterator[str]:
    checks, rest = shown_checks(result)
    yield MARKER
    sign = _SIGNS["warn"] if result.status == "pass" and result.is_harm_overlooked else _SIGNS[result.status]
    yield f"### {sign} {plain(verdict_words(result))}"
    yield ""
    yield from _table(
        ("check", "limit", "baseline", "now", "change", "status"),
        [(plain(check_title(check)), *map(plain, _cells(check)), _status(check)) for check in checks],
    )
    if rest:
        yield from ("", plain(rest))
    if harm_line(result):
        yield from ("", f"{'⚠️ ' if result.is_harm_overlooked else ''}**Network** {plain(harm_line(result))}")
    details = detail_lines(checks)
    yield from _list("What to know", [f"**{STATUS_WORDS[status]}** {plain(words)}" for status, words in details])
    yield from _list("Causes", [plain(named_cause_words(cause)) for cause in result.causes])
    if result.commands:
        yield from ("", "**Repair**", "", fenced(result.commands))
    yield from _list("Notes", [plain(note) for note in result.notes])
    yield from _weakest(result)
    yield from _provenance(result)


def _cells(check: GateCheck) -> tuple[str, str, str, str]:
    bounds = bounds_words(check)
    inside = f" ({bounds})" if bounds else ""
    now, change = figure_words(check, check.value), change_words(check)
    if check.rule.startswith("baseline"):
        change += inside if change else ""
    elif now:
        now += inside
    return limit_words(check), figure_words(check, check.baseline), now, change


def _status(check: GateCheck) -> str:
    return f"{_SIGNS[check.status]} {STATUS_WORDS[check.status]}"


def _list(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield from ("", f"**{title}**", "", *(f"- {item}" for item in items))


def _weakest(result: GateResult) -> Iterator[str]:
    if not result.weakest:
        return
    has_baseline = any(not math.isnan(figure.baseline_db) for figure in result.weakest)
    head = ("layer", "local dB", "propagated dB", *(("baseline local dB",) if has_baseline else ()))
    rows = [
        (
            code(figure.layer),
            number(figure.local_db),
            number(figure.propagated_db),
            *((("" if math.isnan(figure.baseline_db) else number(figure.baseline_db)),) if has_baseline else ()),
        )
        for figure in result.weakest
    ]
    yield from ("", f"<details><summary>The {len(rows)} layers with the lowest local SQNR</summary>", "")
    yield from _table(head, rows)
    yield from ("", "</details>")


def _provenance(result: GateResult) -> Iterator[str]:
    items = []
    if result.model is not None:
        items.append(f"model {code(result.model.source)}, {plain(result.model.architecture)}")
    if result.scheme:
        items.append(f"scheme {plain(result.scheme)}")
    if result.data is not None:
        items.append(f"{count_noun(result.data.measured_count, 'sample')} of {code(result.data.source)}")
    items += [f"size: {plain(words)}" for words in size_words(result.size)]
    prints = result.fingerprints
    items += [f"digest of {name} {code(prints[name][:16])}" for name in ("weights", "data", "scheme") if name in prints]
    items += [f"{plain(name)} {code(value)}" for name, value in prints.items() if name.startswith("version of")]
    items.append(f"result {code(result.source)}")
    yield from ("", "<details><summary>What was judged</summary>", "", *(f"- {item}" for item in items))
    yield from ("", "</details>")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
