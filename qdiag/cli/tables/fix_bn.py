"""What `qdiag fix-bn` prints: the proof above, one row per BatchNorm below, and the reasons of refusals."""

import math
from collections import defaultdict
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from qdiag.cli.tables.change_lines import float_change_lines, harmless_words, quantized_lines
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import Lines, data_lines, header_grid, model_lines
from qdiag.core.causes.fix import BatchNormFix, LayerFix
from qdiag.core.listed import listed
from qdiag.core.measures.measurement import Measurement

_METHOD_WORDS = {
    "mean": "mean: the variance of a dead channel becomes the mean variance of its layer's live channels",
    "constant": "constant: gamma of a dead channel becomes 0, what is left is its constant, beta",
}
_CHANNELS_AT_MOST = 6
_REFUSALS_AT_MOST = 8


def print_fix(console: Console, fix: BatchNormFix, *, is_dry_run: bool = False) -> None:
    """Header, table and reasons on `console`."""
    console.print(header_grid(*_header(fix)))
    if fix.layers:
        console.print()
        console.print(fit_table(console, Column("BatchNorm", lambda row: Text(row.name)), _columns(fix), fix.layers))
        console.print()
        for line in _refusal_lines(fix):
            console.print(line, soft_wrap=True)
    if fix.before is not None and fix.before.task.top1 is not None:
        harmless = harmless_words(fix.before.task.top1)
        if harmless:
            console.print(Text(harmless), soft_wrap=True)
    console.print(Text(_last_line(fix, is_dry_run)), soft_wrap=True)


def _header(fix: BatchNormFix) -> Lines:
    yield from model_lines(fix.model)
    yield "method", Text(_METHOD_WORDS[fix.method])
    if fix.threshold is not None:
        yield "dead", Text(f"by threshold: variance <= {fix.threshold:g} eps")
    for note in fix.notes:
        yield "note", Text(note)
    if fix.before is not None:
        yield from data_lines(fix.before.data)
    if fix.float_change is not None:
        yield from float_change_lines(fix.float_change, fix.float_bound)
    if fix.before is not None and fix.after is not None:
        yield from quantized_lines(fix.before, fix.after)
    if fix.unproved is not None and fix.layers:
        yield "proof", Text(f"none: {fix.unproved}", style="bold yellow")


def _columns(fix: BatchNormFix) -> list[Column[LayerFix]]:
    columns: list[Column[LayerFix]] = [
        Column("folds into", lambda row: Text(row.folds_into or "-", style="dim"), 30, is_left=True),
        Column("dead\nof all", lambda row: Text(f"{len(row.channels)}/{row.channel_count}"), 100),
        Column("channels", lambda row: Text(_channels(row)), 40, is_left=True),
        Column("largest |gain|\nbefore → after", _pair(lambda r: (r.gain_max_abs_before, r.gain_max_abs_after)), 80),
        Column(
            "largest |folded weight|\nbefore → after",
            _pair(lambda r: (r.folded_max_abs_before, r.folded_max_abs_after)),
            90,
        ),
    ]
    if fix.refused:
        columns.insert(2, Column("refused", lambda row: Text(str(row.refused_count), style="yellow"), 95))
    if fix.before is not None and fix.after is not None:
        columns.append(Column("local SQNR, dB\nbefore → after", _local(fix.before, fix.after), 85))
    return columns


def _pair(values: Callable[[LayerFix], tuple[float, float]]) -> Callable[[LayerFix], Text]:
    def cell(row: LayerFix) -> Text:
        before, after = values(row)
        return Text("-" if math.isnan(before) else f"{before:.3g} → {after:.3g}")

    return cell


def _local(before: Measurement, after: Measurement) -> Callable[[LayerFix], Text]:
    """Of the layer that the BatchNorm folds into; `-` where the table of layers has none of that name."""
    old, new = ({record.name: record.local.sqnr_db for record in m.records} for m in (before, after))

    def cell(row: LayerFix) -> Text:
        name = row.folds_into or ""
        return Text(f"{old[name]:.1f} → {new[name]:.1f}" if name in old and name in new else "-")

    return cell


def _channels(row: LayerFix) -> str:
    return listed([channel.channel for channel in row.channels], _CHANNELS_AT_MOST)


def _refusal_lines(fix: BatchNormFix) -> list[Text]:
    """Refused channels by reason."""
    groups: dict[str, list[str]] = defaultdict(list)
    for layer, channel in fix.refused:
        groups[channel.refused or ""].append(f"{layer.name}[{channel.channel}]")
    lines = []
    for reason, names in groups.items():
        lines.append(Text.assemble((f"refused {listed(names, _CHANNELS_AT_MOST)}: ", "yellow"), reason))
    rest = len(lines) - _REFUSALS_AT_MOST
    return [*lines[:_REFUSALS_AT_MOST], Text(f"and {rest} more refusals: --json has all")] if rest > 0 else lines


def _last_line(fix: BatchNormFix, is_dry_run: bool) -> str:
    if not fix.layers:
        return "No dead BatchNorm channel: nothing to repair, nothing written."
    if not fix.fixed_count:
        return f"{_count(fix.dead_count)} found, none repaired: nothing written."
    counts = f"{_count(fix.fixed_count)} repaired in {_layers(fix)}"
    if is_dry_run:
        return f"{_count(fix.fixed_count)} would be repaired in {_layers(fix)}; --dry-run writes nothing."
    return f"{counts}, written to {fix.written_to}" if fix.written_to else f"{counts}, not written"


def _count(number: int) -> str:
    return f"{number} dead channel" if number == 1 else f"{number:,} dead channels"


def _layers(fix: BatchNormFix) -> str:
    number = sum(layer.fixed_count > 0 for layer in fix.layers)
    return "1 BatchNorm" if number == 1 else f"{number} BatchNorms"
