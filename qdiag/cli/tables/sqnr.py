"""The table of `qdiag sqnr`: one row per layer, and two sentences of plain facts below."""

import math
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from qdiag.cli.options.common import Order, SortKey
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import sqnr_header
from qdiag.core.measures.measurement import Measurement, lowest_sqnr_db, weakest_output
from qdiag.reading.layers.columns import LAYER, LayerColumn, layer_columns
from qdiag.reading.layers.entry import LayerEntry, measured_entries
from qdiag.reading.words.layer_row import BELOW_EXPECTED_DB, LayerRow, weakest, worst_first
from qdiag.reading.words.task.harm import LOST_OUTPUT, measured_harm, measured_harm_words

TOP_WHEN_WORST_FIRST = 25
_LABEL_AT_MOST = 10
LOW_SQNR_DB = 20.0
"""Noise of a tenth of the signal's amplitude: named in the sentence below the table, not a verdict."""


def print_measurement(console: Console, measurement: Measurement, order: Order, sort: SortKey, top: int | None) -> None:
    """Header, table and footer on `console`."""
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
    name, columns = _columns(entries, worst)
    console.print(fit_table(console, name, columns, [by_name[row.record.name] for row in shown]))
    console.print()
    if len(shown) < len(ordered):
        console.print(f"{len(ordered) - len(shown)} more layers: --top 0 shows all {len(ordered)}")
    for line in footer_lines(measurement, rows):
        console.print(line)


def legend(sort: SortKey) -> str:
    """What the marks before names stand for."""
    return f">> lowest {sort} SQNR   ! local SQNR more than {BELOW_EXPECTED_DB:g} dB below expected"


def footer_lines(measurement: Measurement, rows: Sequence[LayerRow]) -> list[Text]:
    """The weakest layer, where the propagated SQNR becomes low, what the network lost, and what to do."""
    lines = list[Text]()
    worst = weakest(rows)
    if worst is None:
        lines.append(Text("No quantized layer lost anything that could be measured."))
    else:
        expected = worst.record.expected_sqnr_db
        beside = f"; rounding of its output alone would give {expected:.1f} dB" if math.isfinite(expected) else ""
        lines.append(
            Text.assemble("Weakest alone: ", (worst.record.name, "bold"), f", {worst.local_db:.1f} dB local{beside}.")
        )
    lines.append(Text(_propagated_sentence(measurement, rows)))
    words, harm = measured_harm_words(measurement), measured_harm(measurement)
    lines.append(Text(words))
    is_lost = harm.verdict == "healthy" and words.startswith(LOST_OUTPUT.capitalize())
    if harm.verdict == "harmed" or is_lost:
        lines.append(Text("Next: `qdiag diagnose` on the same model and data finds out why, and what repairs it."))
    elif harm.verdict == "undecided" and not math.isnan(harm.value):
        lines.append(Text("Next: more samples; what so few show may be chance."))
    elif any(row.is_below_expected for row in rows):
        lines.append(
            Text("Next: `qdiag diagnose` says why layers lose that much, although what judges is within its limit.")
        )
    elif not any(record.losses is not None for record in measurement.records):
        lines.append(
            Text("Next: --losses splits each layer's local error into its five parts; --plot draws this table.")
        )
    else:
        lines.append(Text("Next: `qdiag ranges` with the same options shows the values behind each layer."))
    return lines


def _propagated_sentence(measurement: Measurement, rows: Sequence[LayerRow]) -> str:
    known = [row for row in rows if not math.isnan(row.propagated_db)]
    low = next((row for row in known if row.propagated_db < LOW_SQNR_DB), None)
    if low is not None:
        before = f", {low.drop_db:.1f} dB below what feeds it" if low.drop_db > 0.0 else ""
        return (
            f"Propagated SQNR first falls below {LOW_SQNR_DB:g} dB at {low.record.name}: "
            f"{low.propagated_db:.1f} dB{before}."
        )
    if not known:
        return "No propagated SQNR could be measured."
    lowest = min(known, key=lambda row: row.propagated_db)
    output, output_db = weakest_output(measurement.outputs), lowest_sqnr_db(measurement.outputs, measurement.task)
    if output is not None and output_db < LOW_SQNR_DB:  # a layer's figure is that of its whole tensor
        part = f"{output.weakest.name} of {output.name}" if output.weakest else output.name
        return (
            f"Over whole tensors, propagated SQNR stays at {LOW_SQNR_DB:g} dB or above, lowest at "
            f"{lowest.record.name} with {lowest.propagated_db:.1f} dB; {part} has {output_db:.1f} dB."
        )
    return (
        f"Propagated SQNR stays at {LOW_SQNR_DB:g} dB or above; "
        f"lowest at {lowest.record.name}: {lowest.propagated_db:.1f} dB."
    )


def _columns(
    entries: Sequence[LayerEntry], worst: LayerRow | None
) -> tuple[Column[LayerEntry], list[Column[LayerEntry]]]:
    def name(entry: LayerEntry) -> Text:
        is_worst = entry.row is worst
        sign = ">>" if is_worst else " !" if entry.row.is_below_expected else "  "
        return Text(f"{sign} {entry.record.name}", style="bold red" if is_worst else "")

    def cell(column: LayerColumn) -> Callable[[LayerEntry], Text]:
        def text(entry: LayerEntry) -> Text:
            return Text(column.words(entry), style=_style(column.label, entry, is_worst=entry.row is worst))

        return text

    columns = [
        Column(_header(column), cell(column), column.importance, is_left=column.is_words)
        for column in layer_columns(entries, with_losses=True)
    ]
    return Column(LAYER, name), columns


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
