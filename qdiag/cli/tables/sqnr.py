"""The table of `qdiag sqnr`: one row per layer, and two sentences of plain facts below."""

import math
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from qdiag.cli.console import print_commands
from qdiag.cli.options.common import Order, SortKey
from qdiag.cli.tables.fit import Column, fit_table, more_words
from qdiag.cli.tables.sqnr_header import sqnr_header
from qdiag.core.measures.measurement import Measurement
from qdiag.reading.layers.columns import LAYER, LOSS_WORDS, LayerColumn, layer_columns, loss_columns
from qdiag.reading.layers.entry import LayerEntry, measured_entries
from qdiag.reading.layers.weakest import drop_words, propagated_words, weakest_words
from qdiag.reading.words.layer_row import BELOW_EXPECTED_DB, LayerRow, weakest, worst_first
from qdiag.reading.words.task.harm import LOST_OUTPUT, measured_harm, measured_harm_words

TOP_WHEN_WORST_FIRST = 25
_LABEL_AT_MOST = 10


def print_measurement(
    console: Console, measurement: Measurement, order: Order, sort: SortKey, top: int | None, diagnose: str = ""
) -> None:
    """Header, table and footer on `console`.

    Args:
        diagnose: the command that finds out why, ready for a shell.
    """
    entries = measured_entries(measurement.records)
    rows = tuple(entry.row for entry in entries)
    worst, by_name = weakest(rows, sort), {entry.record.name: entry for entry in entries}
    ordered = list(rows) if order == "graph" else worst_first(rows, sort)
    limit = top if top is not None else (TOP_WHEN_WORST_FIRST if order == "worst" else 0)
    shown = ordered[:limit] if limit else ordered
    console.print(sqnr_header(measurement))
    console.print()
    console.print(Text(legend(sort), style="dim"))
    console.print()
    in_order = [by_name[row.record.name] for row in shown]
    name, columns = _name(worst), _columns(layer_columns(entries), worst)
    console.print(fit_table(console, name, columns, in_order))
    console.print()
    with_losses = [entry for entry in in_order if entry.record.losses is not None]
    if with_losses:
        console.print(Text(LOSS_WORDS, style="dim"))
        console.print()
        console.print(fit_table(console, name, _columns(loss_columns(), worst), with_losses))
        console.print()
    if len(shown) < len(ordered):
        console.print(more_words(len(shown), len(ordered)))
    for line in footer_lines(measurement, rows):
        console.print(line)
    step = next_step(measurement, rows)
    if diagnose and step.endswith(":"):
        print_commands(console, step, (diagnose,))
    else:
        console.print(Text(f"{step.removesuffix(':')}." if step.endswith(":") else step))


def legend(sort: SortKey) -> str:
    """What the marks before names stand for."""
    return f">> lowest {sort} SQNR   ! local SQNR more than {BELOW_EXPECTED_DB:g} dB below expected   >! both"


def footer_lines(measurement: Measurement, rows: Sequence[LayerRow]) -> list[Text]:
    """The weakest layer, where the propagated SQNR becomes low, and what the network lost."""
    drops = drop_words(measurement, rows)
    sentences = weakest_words(rows), propagated_words(measurement, rows), drops, measured_harm_words(measurement)
    return [Text(sentence) for sentence in sentences if sentence]


def next_step(measurement: Measurement, rows: Sequence[LayerRow]) -> str:
    """What to do with the figures; it ends in a colon where a diagnosis is the next step."""
    words, harm = measured_harm_words(measurement), measured_harm(measurement)
    is_lost = harm.verdict == "healthy" and words.startswith(LOST_OUTPUT.capitalize())
    if harm.verdict == "harmed" or is_lost:
        return "Next: a diagnosis finds out why, and what repairs it:"
    if harm.verdict == "undecided" and not math.isnan(harm.value):
        return "Next: measure more samples; what so few show may be chance."
    if any(row.is_below_expected for row in rows):
        return "Next: a diagnosis finds out why the layers marked with ! lose more than rounding explains:"
    if not any(record.losses is not None for record in measurement.records):
        return "Next: --losses splits each layer's local error into its five parts; --plot draws this table."
    return "Next: `qdiag ranges` with the same options shows the values behind each layer."


def _name(worst: LayerRow | None) -> Column[LayerEntry]:
    """Layers by their names, with the mark before each."""

    def name(entry: LayerEntry) -> Text:
        is_worst = entry.row is worst
        is_low = entry.row.is_below_expected
        sign = (">!" if is_low else ">>") if is_worst else " !" if is_low else "  "
        return Text(f"{sign} {entry.record.name}", style="bold red" if is_worst else "")

    return Column(LAYER, name)


def _columns(columns: Sequence[LayerColumn], worst: LayerRow | None) -> list[Column[LayerEntry]]:
    def cell(column: LayerColumn) -> Callable[[LayerEntry], Text]:
        def text(entry: LayerEntry) -> Text:
            return Text(column.words(entry), style=_style(column.label, entry, is_worst=entry.row is worst))

        return text

    return [
        Column(_header(column), cell(column), column.importance, is_left=column.is_words, dash=column.dash)
        for column in columns
    ]


def _header(column: LayerColumn) -> str:
    """Two lines at most: of a long label of two words the second stands beside the unit."""
    first, _, second = column.label.partition(" ") if len(column.label) > _LABEL_AT_MOST else (column.label, "", "")
    return "\n".join(filter(None, (first, f"{second} {column.unit}".strip())))


def _style(label: str, entry: LayerEntry, *, is_worst: bool) -> str:
    if label == "local" and not is_worst:
        return "yellow" if entry.row.is_below_expected else ""
    if label == "expected" and entry.row.is_float:
        return "dim"
    return {"local": "bold red", "NaN, Inf": "bold red", "operation": "dim"}.get(label, "")
