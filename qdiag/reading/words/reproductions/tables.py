"""The tables of an experiment as texts: figures by variant, and what was expected."""

from dataclasses import dataclass

from qdiag.core.reproductions.expectations import Outcome
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.reading.words.reproductions.sentences import (
    OUTCOME_WORDS,
    cell_words,
    measured_words,
    published_columns,
    published_words,
    reason_words,
    statement,
    words_of,
)


@dataclass(frozen=True)
class FigureColumn:
    """A column: its title, its unit, and a text for each variant.

    Attributes:
        is_published: of the source rather than measured here.
    """

    title: str
    unit: str
    texts: tuple[str, ...]
    is_published: bool = False


@dataclass(frozen=True)
class ExpectationRow:
    """What was expected and what was measured, in words."""

    outcome: Outcome
    verdict: str
    statement: str
    measured: str
    reason: str


def row_titles(result: Reproduction) -> tuple[str, ...]:
    """Of the variants."""
    words = words_of(result)
    return tuple(words.rows[row] for row in result.rows)


def figure_columns(result: Reproduction) -> tuple[FigureColumn, ...]:
    """Each figure as it was measured, and beside it as it was published, where it was."""
    words, published, found = words_of(result), published_columns(result), []
    for key in result.columns:
        column = words.columns[key]
        cells = [result.cell(row, key) for row in result.rows]
        found.append(FigureColumn(column.title, column.unit, tuple(cell_words(cell, column) for cell in cells)))
        if key in published:
            texts = tuple(published_words(cell, column) for cell in cells)
            found.append(FigureColumn(f"{column.title}, published", column.unit, texts, is_published=True))
    return tuple(found)


def expectation_rows(result: Reproduction) -> tuple[ExpectationRow, ...]:
    """In the order of the experiment."""
    return tuple(
        ExpectationRow(
            one.outcome,
            OUTCOME_WORDS[one.outcome],
            statement(result, one),
            measured_words(result, one),
            reason_words(result, one),
        )
        for one in result.judged
    )
