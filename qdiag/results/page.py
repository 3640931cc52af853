"""The first page of a report as a fragment of HTML, for notebooks: no script, and no style for other elements."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.core.printable import printable
from qdiag.reading.words.causes import VERDICT_WORDS, best_trial, cause_title, commands, headline, trial_title
from qdiag.reading.words.numbers import UNKNOWN
from qdiag.reading.words.task.afterwards import repair_heading
from qdiag.reading.words.task.figures import gain_words, trial_criterion
from qdiag.reading.words.task.harm import measured_harm_words
from qdiag.results.pictures import pictures_of
from qdiag.writers.plots.drawing.figure import figure_bytes

_HEADER = ("suspect", "layers", "best repair", "recovers", "placebo", "verdict")


def page_of(result: Diagnosis | Measurement | RangeReport) -> str:
    """What was found in a sentence, suspects, the picture of the layers, and the commands that repair."""
    parts = [f"<p><strong>{_text(_first_words(result))}</strong></p>"]
    if isinstance(result, Diagnosis) and result.ranking.causes:
        parts.append(_table(_HEADER, _rows(result)))
    parts.append(_picture(result))
    lines = commands(result) if isinstance(result, Diagnosis) else ()
    if lines and isinstance(result, Diagnosis):
        shell = "\n".join(map(_text, lines))
        parts.append(
            f'<p>{_text(repair_heading(result.ranking, lines))}</p><pre style="white-space:pre-wrap">{shell}</pre>'
        )
    return f'<div class="qdiag" style="max-width:60em">{"".join(parts)}</div>'


def _first_words(result: Diagnosis | Measurement | RangeReport) -> str:
    if isinstance(result, Diagnosis):
        return headline(result)
    if isinstance(result, Measurement):
        return measured_harm_words(result)
    return f"Ranges of {result.model.source} on {result.data.measured_count} samples"


def _rows(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for cause in diagnosis.ranking.causes:
        best = best_trial(cause)
        recovered = placebo = ""
        if best is not None and best.recovery is not None:
            recovered = gain_words(best.recovery, trial_criterion(best))
            placebo = gain_words(best.placebo.recovery, trial_criterion(best)) if best.placebo is not None else UNKNOWN
        rows.append(
            (
                f"{cause.rank}. {cause.code} {cause_title(cause.code)}",
                listed(cause.layers),
                trial_title(best) if best is not None else "",
                recovered,
                placebo,
                VERDICT_WORDS[cause.verdict],
            )
        )
    return rows


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
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
