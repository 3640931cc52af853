"""The table of `qdiag bn`: one row per BatchNorm."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from qdiag.cli.options.common import Order
from qdiag.cli.parameters import as_options
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import header_grid, model_lines
from qdiag.core.listed import listed
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord
from qdiag.reading.words.bn import cost_sentence, costliest, dead_sentence
from qdiag.reading.words.numbers import count_noun

_TOP_WORST = 25
_LOUD_BITS = 1.0
"""From here on a cost is a headline."""
_CERTAINTY_MARKS = {"certain": "", "likely": " ~", "guess": " ?"}
_NO_LAYER = "no layer takes the BatchNorm in"
_NO_GAIN = "the BatchNorm was not judged"
_NO_LIVE = "there is no other live channel with weights, or no layer takes the BatchNorm in"


def print_audit(console: Console, audit: BatchNormAudit, order: Order, top: int | None) -> None:
    """Header, headline, table and summary on `console`."""
    console.print(header_grid(*model_lines(audit.model), *_pairing_lines(audit)))
    if not audit.records:
        return
    console.print()
    console.print(_headline(audit))
    console.print()
    rows, left = _ordered(audit, order, top)
    console.print(fit_table(console, Column("BatchNorm", _name), _columns(rows), rows))
    if left:
        console.print(Text(f"{left} more BatchNorms, --top 0 shows all", style="dim"))
    console.print()
    for line in _summary(audit):
        console.print(line)


def _pairing_lines(audit: BatchNormAudit) -> list[tuple[str, Text]]:
    paired = [record.layer for record in audit.records if record.layer is not None]
    lines = [("pairs", Text(f"{len(paired)} of {len(audit.records)} BatchNorms fold into a layer{_found(audit)}"))]
    doubtful = [pair for pair in paired if pair.certainty != "certain"]
    if doubtful:
        likely = sum(pair.certainty == "likely" for pair in doubtful)
        guessed = len(doubtful) - likely
        parts = [f"{likely} likely (~)"] * (likely > 0) + [f"{guessed} guessed (?)"] * (guessed > 0)
        lines.append(("", Text(f"by {doubtful[0].paired_by}: {', '.join(parts)}", style="yellow")))
    return lines + [("note", Text(as_options(note))) for note in audit.notes]


def _found(audit: BatchNormAudit) -> str:
    """What the pairs were read from."""
    return f" (read from: {audit.route})"


def _headline(audit: BatchNormAudit) -> Text:
    worst = costliest(audit)
    if worst is None or worst.range_cost is None:
        return Text("No folded range is known: no BatchNorm has a layer that it folds into.", style="bold")
    if worst.range_cost.cost_bits < _LOUD_BITS:
        bits = worst.range_cost.cost_bits
        return Text(f"In no layer does the widest channel cost the others more than {bits:.1f} bits.", style="bold")
    return Text(f"{cost_sentence(worst)}.", style="bold")


def _summary(audit: BatchNormAudit) -> list[Text]:
    dead = dead_sentence(audit)
    lines = [Text(f"{dead[:1].upper()}{dead[1:]}.")]
    outliers = [(record, found) for record in audit.records for found in record.outliers]
    if outliers:
        loud = sum(found.sets_range for _, found in outliers)
        noun = "channel" if len(outliers) == 1 else "channels"
        set_ = "sets" if loud == 1 else "set"
        lines.append(
            Text(f"{len(outliers)} live {noun} with an outlying gain; {loud or 'none'} {set_} the live range.")
        )
    skipped = [record for record in audit.records if record.skip_reason]
    if skipped:
        first, others = skipped[0], len(skipped) - 1
        more = f" {count_noun(others, 'other BatchNorm')} could not be judged either." if others else ""
        lines.append(Text(f"{first.label} could not be judged: {first.skip_reason}.{more}"))
    notes: dict[str, list[str]] = {}
    for record in audit.records:
        for note in record.notes:
            notes.setdefault(note, []).append(record.label)
    for note, names in notes.items():
        lines.append(Text(f"{listed(names, 1)}: {note}"))
    lines.append(Text("Bits are counted from the weights alone; qdiag sqnr measures what they cost in accuracy."))
    return lines


def _ordered(audit: BatchNormAudit, order: Order, top: int | None) -> tuple[list[BatchNormRecord], int]:
    rows = list(audit.records)
    if order == "worst":
        rows.sort(key=lambda record: record.range_cost.cost_bits if record.range_cost else -math.inf, reverse=True)
        top = _TOP_WORST if top is None else top
    shown = rows[:top] if top else rows
    return shown, len(rows) - len(shown)


def _columns(rows: Sequence[BatchNormRecord]) -> list[Column[BatchNormRecord]]:
    columns = [
        Column("folds into", _layer, 60, is_left=True, dash=_NO_LAYER),
        Column("channels", lambda r: Text(str(r.channels)), 65),
        Column("dead", lambda r: _count(len(r.dead), "bold red"), 100),
        Column("gain\nmedian", lambda r: _number(r.gain_median_abs), 85, dash=_NO_GAIN),
        Column("gain\nmax", lambda r: _number(r.gain_max_abs), 95, dash=_NO_GAIN),
        Column("dead/live\nrange", _blowup, 92, dash="no layer takes the BatchNorm in, or no channel is live"),
        Column("widest\nchannel", _widest, 70, dash=_NO_LAYER),
        Column("costs\nbits", _cost, 100, dash="there are no other channels, or no layer takes the BatchNorm in"),
        Column("median left\nbits", lambda r: _number(r.median_effective_bits, "{:.1f}"), 95, dash=_NO_LIVE),
    ]
    if any(row.outliers for row in rows):
        columns.insert(3, Column("live\noutliers", lambda r: _count(len(r.outliers), "yellow"), 75))
    return columns


def _name(record: BatchNormRecord) -> Text:
    return Text(record.label, style="dim" if record.skip_reason else "")


def _layer(record: BatchNormRecord) -> Text:
    pair = record.layer
    if pair is None:
        return Text("-", style="dim")
    place = "" if pair.direction.endswith("->bn") else " (after it)"
    return Text(f"{pair.name}{place}{_CERTAINTY_MARKS[pair.certainty]}")


def _widest(record: BatchNormRecord) -> Text:
    return Text("-" if record.scale_channel is None else str(record.scale_channel))


def _count(count: int, style: str) -> Text:
    return Text(str(count), style=style if count else "dim")


def _blowup(record: BatchNormRecord) -> Text:
    value = record.dead_range_blowup
    if math.isnan(value):
        return Text("-" if record.dead else "")
    return Text(f"{value:.2g}" if value < 100 else f"{value:.0f}", style="bold red" if value > 2.0 else "")


def _cost(record: BatchNormRecord) -> Text:
    if record.range_cost is None:
        return Text("-")
    return Text(f"{record.range_cost.cost_bits:.1f}", style="bold red" if record.range_cost.is_dead else "")


def _number(value: float, form: str = "{:.3g}") -> Text:
    return Text("-" if math.isnan(value) else form.format(value))
