"""A comparison as Markdown, for a pull request or a note."""

from collections.abc import Iterable, Iterator

from qdiag.core.compare import Comparison, LayerChange
from qdiag.reading.words.causes import VERDICT_WORDS, cause_title
from qdiag.reading.words.comparison.sentences import (
    CAUSE_STATUS_WORDS,
    CERTAINTY_MARKS,
    NO_SQNR,
    cause_counts,
    cause_layers,
    comparison_headline,
    decibels,
    given_back,
    layer_counts,
    layer_verdict,
    matching_words,
    pairing_words,
    signed,
    task_rows,
)
from qdiag.reading.words.comparison.settings import setting_words
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.size import size_rows
from qdiag.writers.markdown.github_text import code, plain

LAYERS_SHOWN = 25


def comparison_markdown(comparison: Comparison, layers_shown: int = LAYERS_SHOWN) -> str:
    """Headline, task, causes, layers that changed, settings that differ.

    Args:
        layers_shown: of the layers that changed; 0 for all.
    """
    before, after = comparison.before, comparison.after
    lines = [f"**{plain(comparison_headline(comparison))}**", ""]
    if comparison.forced:
        lines += [f"> Compared by force: {plain(reason)}." for reason in comparison.forced] + [""]
    lines += _table(
        ("", "before", "after"),
        [
            ("diagnosis", code(before.source), code(after.source)),
            ("model", code(before.model), code(after.model)),
            ("scheme", plain(before.scheme), plain(after.scheme)),
            ("data", *(f"{plain(run.data)}, {count_noun(run.sample_count, 'sample')}" for run in (before, after))),
        ],
    )
    rows = [*task_rows(comparison), *size_rows(comparison.before.size, comparison.after.size)]
    if rows:
        lines += _table(("", "before", "after", "change"), [tuple(map(plain, row)) for row in rows], numbers=True)
    pairing = pairing_words(comparison)
    lines += [plain(pairing), ""] if pairing else []
    lines += ["### Causes", "", plain(cause_counts(comparison)), "", *_causes(comparison)]
    lines += ["### Layers", "", f"{layer_counts(comparison)}.", "", *_layers(comparison, layers_shown)]
    notes = [f"- {plain(words)}" for words in (*matching_words(comparison), *comparison.notes)]
    lines += [*notes, ""] if notes else []
    if comparison.differences:
        lines += ["<details><summary>Settings that differ</summary>", ""]
        told = map(setting_words, comparison.differences)
        rows_ = [(plain(name), code(before), code(after)) for name, before, after in told]
        lines += [*_table(("setting", "before", "after"), rows_), "</details>"]
    return "\n".join(lines).rstrip() + "\n"


def _causes(comparison: Comparison) -> Iterator[str]:
    claimed = [cause for cause in comparison.causes if cause.status != "suspect"]
    if not claimed:
        return
    rows = [
        (
            CAUSE_STATUS_WORDS[cause.status],
            f"{plain(cause.code)} {plain(cause_title(cause.code))}",
            plain(cause_layers(cause)),
            *(VERDICT_WORDS[verdict] if verdict else "" for verdict in (cause.verdict_before, cause.verdict_after)),
            *given_back(cause),
        )
        for cause in claimed
    ]
    yield from _table(("", "cause", "layers", "before", "after", "repair recovers, before", "after"), rows)


def _layers(comparison: Comparison, shown: int) -> Iterator[str]:
    changed = comparison.changed
    if not changed:
        return
    rows = [_layer(layer) for layer in (changed[:shown] if shown else changed)]
    if any("-" in row for row in rows):
        yield from (f"A dash stands where {NO_SQNR}.", "")
    header = ("layer", "local dB", "after", "change", "propagated dB", "after", "change")
    yield from _table((*header, ""), rows, numbers=True, words_at=len(header))
    if len(rows) < len(changed):
        yield from (f"{len(changed) - len(rows)} more layers changed.", "")


def _layer(layer: LayerChange) -> tuple[str, ...]:
    was = f" (was {code(layer.name_before)}{CERTAINTY_MARKS[layer.certainty]})" if layer.is_renamed else ""
    return (
        code(layer.name) + was,
        decibels(layer.local_before_db),
        decibels(layer.local_after_db),
        signed(layer.local_change_db),
        decibels(layer.propagated_before_db),
        decibels(layer.propagated_after_db),
        signed(layer.propagated_change_db),
        layer_verdict(layer),
    )


def _table(
    header: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, numbers: bool = False, words_at: int | None = None
) -> list[str]:
    """With a blank line behind it; numbers stand to the right, except in the first column and in that of `words_at`."""
    marks = [":--" if not numbers or i in (0, words_at) else "--:" for i in range(len(header))]
    lines = [header, tuple(marks), *rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]
