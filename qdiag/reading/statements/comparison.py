"""What `qdiag compare` says of two diagnoses, sentence by sentence."""

from collections.abc import Iterator

from qdiag.core.compare import Comparison
from qdiag.reading.statements.base import LAYERS_TOLD, Places, Statement, numbered, sentence, stopped
from qdiag.reading.words.comparison.sentences import (
    cause_counts,
    cause_words,
    comparison_headline,
    layer_counts,
    layer_words,
    matching_words,
    pairing_words,
    row_words,
    task_rows,
)
from qdiag.reading.words.comparison.settings import setting_words
from qdiag.reading.words.size import size_rows

Told = Iterator[tuple[str, tuple[str, ...]]]


def comparison_statements(comparison: Comparison) -> tuple[Statement, ...]:
    """Better, worse or neither; figures, causes, the layers that changed most, and settings that differ."""
    places, pairing = Places(comparison), pairing_words(comparison)
    sizes = map(row_words, size_rows(comparison.before.size, comparison.after.size))
    claimed = [cause for cause in comparison.causes if cause.status != "suspect"]
    return (
        Statement("verdict", comparison_headline(comparison), ("/task/figures",)),
        *numbered("forced", ((sentence(why), (f"/forced/{i}",)) for i, why in enumerate(comparison.forced))),
        *numbered("figure", ((words, ("/task",)) for words in map(row_words, task_rows(comparison)))),
        *((Statement("intervals", pairing, ("/task/figures/0/quantized",)),) if pairing else ()),
        Statement("causes", cause_counts(comparison), ("/causes",)),
        *numbered("cause", ((cause_words(cause), places.of(cause)) for cause in claimed)),
        Statement("layers", sentence(layer_counts(comparison)), ("/layers", "/min_change_db")),
        *numbered("layer", ((layer_words(row), places.of(row)) for row in comparison.changed[:LAYERS_TOLD])),
        *numbered(
            "matching", ((sentence(words), ("/layers", "/missing", "/new")) for words in matching_words(comparison))
        ),
        *numbered("size", ((words, ("/before/size", "/after/size")) for words in sizes)),
        *numbered("difference", _differences(comparison)),
        *numbered("note", ((stopped(note), (f"/notes/{i}",)) for i, note in enumerate(comparison.notes))),
    )


def _differences(comparison: Comparison) -> Told:
    for i, difference in enumerate(comparison.differences):
        name, before, after = setting_words(difference)
        yield f"A setting differs: {name} is {before} before and {after} after.", (f"/differences/{i}",)
