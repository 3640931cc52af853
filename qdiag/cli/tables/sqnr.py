"""The table of `qdiag sqnr`: one row per layer, and two sentences of plain facts below."""

import math
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from qdiag.cli.options.common import Order, SortKey
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import sqnr_header
from qdiag.core.measures.measurement import Measurement, lowest_sqnr_db, weakest_output
from qdiag.core.measures.records import LOSSES
from qdiag.reading.words.layer_row import BELOW_EXPECTED_DB, LayerRow, layer_rows, weakest, worst_first
from qdiag.reading.words.layers import op_words
from qdiag.reading.words.task.harm import LOST_OUTPUT, measured_harm, measured_harm_words

TOP_WHEN_WORST_FIRST = 25
LOW_SQNR_DB = 20.0
"""Noise of a tenth of the signal's amplitude: named in the sentence below the table, not a verdict."""


def print_measurement(console: Console, measurement: Measurement, order: Order, sort: SortKey, top: int | None) -> None:
    """Header, table and footer on `console`."""
    rows = layer_rows(measurement.records)
    worst = weakest(rows, sort)
    ordered = list(rows) if order == "graph" else worst_first(rows, sort)
    limit = top if top is not None else (TOP_WHEN_WORST_FIRST if order == "worst" else 0)
    shown = ordered[:limit] if limit else ordered
    console.print(sqnr_header(measurement))
    console.print()
    console.print(Text(legend(sort), style="dim"))
    console.print()
    name, columns = _columns(measurement, worst)
    console.print(fit_table(console, name, columns, shown))
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


def _columns(measurement: Measurement, worst: LayerRow | None) -> tuple[Column[LayerRow], list[Column[LayerRow]]]:

    def name(row: LayerRow) -> Text:
        sign = ">>" if row is worst else " !" if row.is_below_expected else "  "
        return Text(f"{sign} {row.record.name}", style="bold red" if row is worst else "")

    def local(row: LayerRow) -> Text:
        return Text(db(row.local_db), style="bold red" if row is worst else "yellow" if row.is_below_expected else "")

    def weight(row: LayerRow) -> Text:
        own = row.record.weight
        if own is not None and own.own_format is not None and own.error.sqnr_db == math.inf:
            return Text("exact")
        return Text(db(own.channel_sqnr_db_median) if own is not None else "")

    columns: list[Column[LayerRow]] = [
        Column("operation", lambda row: Text(op_words(row.record), style="dim"), 50, is_left=True),
        Column("weight\ndB", weight, 60),
        Column("local\ndB", local, 100),
        Column("propagated\ndB", lambda row: Text(db(row.propagated_db)), 99),
        Column("drop\ndB", lambda row: Text(db(row.drop_db)), 80),
        Column("expected\ndB", expected, 90),
        Column("bias\nfraction %", lambda row: Text(percent(row.record.local.bias_fraction)), 30),
        Column("clipped\n%", lambda row: Text(percent(row.record.clipped_fraction)), 40),
    ]
    if any(record.arithmetic is not None for record in measurement.records):
        columns.append(Column("arithmetic\ndB", _arithmetic, 97))
    if any(row.losses is not None for row in measurement.records):
        columns += [Column(f"{name}\ndB", _loss(name), 70) for name in LOSSES]
    if any(row.nonfinite_count for row in layer_rows(measurement.records)):
        columns.append(Column("NaN, Inf\ncount", nonfinite, 95))
    return Column("layer", name), columns


def _arithmetic(row: LayerRow) -> Text:
    return Text(db(row.record.arithmetic.sqnr_db) if row.record.arithmetic is not None else "")


def _loss(name: str) -> Callable[[LayerRow], Text]:
    def cell(row: LayerRow) -> Text:
        return Text(db(row.record.losses.by_name[name].sqnr_db) if row.record.losses is not None else "")

    return cell


def expected(row: LayerRow) -> Text:
    """The figure from the range, or the word `float` where no quantizer is."""
    return Text("float", style="dim") if row.is_float else Text(db(row.record.expected_sqnr_db))


def nonfinite(row: LayerRow) -> Text:
    """Counts that are not zero stand out."""
    return Text(str(row.nonfinite_count), style="bold red") if row.nonfinite_count else Text("0", style="dim")


def db(value: float) -> str:
    """One decimal; `inf` and `-inf` as words, `-` for what is not defined."""
    return "-" if math.isnan(value) else f"{value:.1f}"


def percent(fraction: float) -> str:
    """One decimal; small shares are told apart from none."""
    if math.isnan(fraction):
        return "-"
    if 0.0 < fraction < 0.0005:
        return "<0.1"
    return f"{100.0 * fraction:.1f}"
