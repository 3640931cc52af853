"""The first page of a report as a fragment of HTML, for notebooks: no script, and no style for other elements."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.core.printable import printable
from qdiag.reading.diagnosis import Reading, read
from qdiag.reading.figures import FigureRow
from qdiag.reading.labels import (
    BEST_REPAIR,
    CAUSES_TITLE,
    FLOAT,
    LAYERS,
    PLACEBO,
    QUANTIZED,
    RECOVERS,
    REPAIRED,
    SUSPECT,
    VERDICT,
)
from qdiag.reading.layers.columns import LAYER, column_title, layer_columns
from qdiag.reading.layers.entry import shown_entries, shown_title
from qdiag.reading.layers.repaired import table_words
from qdiag.reading.suspects import SuspectRow
from qdiag.reading.words.causes import headline
from qdiag.reading.words.commands.shell import option_groups
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.task.choice import judged_words
from qdiag.reading.words.task.harm import measured_harm_words
from qdiag.results.pictures import pictures_of
from qdiag.writers.html.page_text import held_page
from qdiag.writers.plots.drawing.figure import figure_bytes

_HEADER = (SUSPECT, LAYERS, BEST_REPAIR, RECOVERS, PLACEBO, VERDICT)


def page_of(result: Diagnosis | Measurement | RangeReport) -> str:
    """What the report begins with: the verdict, figures, commands that repair, the picture of the layers, suspects, and
    the layers that matter."""
    reading = read(result) if isinstance(result, Diagnosis) else None
    parts = [f"<p><strong>{_text(_first_words(result))}</strong></p>"]
    if reading is not None:
        parts += _verdict(reading)
    parts.append(_picture(result))
    if reading is not None and reading.suspects:
        parts += [_heading(CAUSES_TITLE), _table(_HEADER, map(_row, reading.suspects))]
    if reading is not None:
        parts += [_heading(shown_title(reading.diagnosis)), _layers(reading.diagnosis)]
    return held_page(f'<div class="qdiag" style="max-width:70em">{"".join(parts)}</div>')


def _verdict(reading: Reading) -> Iterator[str]:
    """By what the network is judged, its figures, and the commands that are proposed, as the report begins."""
    judged = judged_words(reading.diagnosis.ranking.before.task)
    yield f"<p>{_text(reading.state_words[:1].upper() + reading.state_words[1:])}; {_text(judged)}.</p>"
    if reading.figures:
        header = ("", FLOAT, QUANTIZED, "change", REPAIRED)
        yield _table(header, ((r.name, r.reference, r.quantized, _change(r), r.repaired) for r in reading.figures))
    for proposal in reading.proposals:
        shell = "\n".join(" ".join(map(_piece, option_groups(line))) for line in proposal.commands)
        yield f'<p>{_text(proposal.heading)}</p><pre style="white-space:pre-wrap">{shell}</pre>'
        yield from (f"<p>{_text(sentence)}</p>" for sentence in proposal.remarks)


def _piece(words: str) -> str:
    """An option with its values, at whose hyphens no line ends."""
    return f'<span style="display:inline-block;max-width:100%;vertical-align:top">{_text(words)}</span>'


def _change(row: FigureRow) -> str:
    return f"{row.change_label} {row.change.full}" if row.change is not None else ""


def _heading(words: str) -> str:
    return f'<p style="margin-top:1em"><strong>{_text(words)}</strong></p>'


def _layers(diagnosis: Diagnosis) -> str:
    entries = shown_entries(diagnosis)
    columns = layer_columns(entries)
    header = ("#", LAYER, *map(column_title, columns))
    rows = ((str(e.record.index), e.record.name, *(column.words(e) for column in columns)) for e in entries)
    return _table(header, rows) + f"<p>{_text(table_words(diagnosis))}</p>"


def _first_words(result: Diagnosis | Measurement | RangeReport) -> str:
    if isinstance(result, Diagnosis):
        return headline(result)
    if isinstance(result, Measurement):
        return measured_harm_words(result)
    return f"Ranges of {result.model.source} on {count_noun(result.data.measured_count, 'sample')}"


def _row(row: SuspectRow) -> tuple[str, ...]:
    best = row.best.title if row.best is not None else ""
    return f"{row.rank}. {row.code} {row.title}", listed(row.layers), best, row.credited, row.placebo, row.verdict


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(word)}</th>" for word in header)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _picture(result: Diagnosis | Measurement | RangeReport) -> str:
    """The first picture, as an image in the text: names in it cannot become elements of the page."""
    name, draw = next(iter(pictures_of(result).items()))
    data = b64encode(figure_bytes(draw(), "png")).decode()
    return f'<img alt="{name} by layer" style="max-width:100%" src="data:image/png;base64,{data}">'


def _text(words: str) -> str:
    return escape(printable(words))
