"""The first page of a report as a fragment of HTML, for notebooks: no script, and no style for other elements."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.core.printable import printable
from qdiag.reading.diagnosis import read
from qdiag.reading.labels import BEST_REPAIR, LAYERS, PLACEBO, RECOVERS, SUSPECT, VERDICT
from qdiag.reading.suspects import SuspectRow
from qdiag.reading.words.causes import headline
from qdiag.reading.words.task.harm import measured_harm_words
from qdiag.results.pictures import pictures_of
from qdiag.writers.plots.drawing.figure import figure_bytes

_HEADER = (SUSPECT, LAYERS, BEST_REPAIR, RECOVERS, PLACEBO, VERDICT)


def page_of(result: Diagnosis | Measurement | RangeReport) -> str:
    """What was found in a sentence, suspects, the picture of the layers, and the commands that repair."""
    parts = [f"<p><strong>{_text(_first_words(result))}</strong></p>"]
    reading = read(result) if isinstance(result, Diagnosis) else None
    if reading is not None and reading.suspects:
        parts.append(_table(_HEADER, map(_row, reading.suspects)))
    parts.append(_picture(result))
    for proposal in reading.proposals if reading is not None else ():
        shell = "\n".join(map(_text, proposal.commands))
        parts.append(f'<p>{_text(proposal.heading)}</p><pre style="white-space:pre-wrap">{shell}</pre>')
        parts += [f"<p>{_text(sentence)}</p>" for sentence in proposal.remarks]
    return f'<div class="qdiag" style="max-width:60em">{"".join(parts)}</div>'


def _first_words(result: Diagnosis | Measurement | RangeReport) -> str:
    if isinstance(result, Diagnosis):
        return headline(result)
    if isinstance(result, Measurement):
        return measured_harm_words(result)
    return f"Ranges of {result.model.source} on {result.data.measured_count} samples"


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
