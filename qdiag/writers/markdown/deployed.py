"""The part of report.md on a quantized file: what it answers in its runtime, and where that differs."""

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.deployed.verification import Verification
from qdiag.reading.words.deployed.operations import float_words, integer_words
from qdiag.reading.words.deployed.rules import no_better_words, rules_words
from qdiag.reading.words.deployed.tables import FIGURE_HEADER, LAYER_HEADER, figure_lines, layer_lines
from qdiag.reading.words.deployed.verification import integer_agreement, uncompared_words
from qdiag.writers.markdown.text import code, section, table, text

_ROWS = 8


def deployed_section(diagnosis: Diagnosis) -> str:
    """The file in its runtime beside the simulation, and the repaired one; nothing where they were not run."""
    file = diagnosis.measurement.deployed
    runs = ((file.source if file is not None else "", diagnosis.verification), *_repaired(diagnosis))
    sections = [_section(path, run) for path, run in runs if run is not None and file is not None]
    return "\n\n".join((*sections, *filter(None, (text(no_better_words(diagnosis)),))))


def _repaired(diagnosis: Diagnosis) -> tuple[tuple[str, Verification | None], ...]:
    return ((diagnosis.repaired_file, diagnosis.repaired_run),) if diagnosis.repaired_file else ()


def _section(path: str, run: Verification) -> str:
    right = [f"{name} #" for name in FIGURE_HEADER[1:]]
    figures = table((FIGURE_HEADER[0], *right), [tuple(map(text, row)) for row in figure_lines(run)])
    lines = layer_lines(run)
    shown = [(code(one.layer), *map(text, one.figures), code(one.tensor), text(one.reason)) for one in lines[:_ROWS]]
    header = [f"{name} #" if name in ("integers", "differing") else name for name in LAYER_HEADER]
    rest = len(lines) - len(shown)
    more = f"{rest} more layers, none of which differs more, are in diagnosis.json." if rest > 0 else ""
    notes = [f"- {text(words)}" for words in uncompared_words(run)]
    return section(
        f"{code(path)} in its runtime",
        text(f"{integer_words(run.operations)}; {float_words(run.operations)}."),
        figures,
        text(f"Of the simulation, {'; '.join((integer_agreement(run), *rules_words(run)))}."),
        table(header, shown),
        more,
        "\n".join(notes),
    )
