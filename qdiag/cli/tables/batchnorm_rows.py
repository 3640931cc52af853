"""BatchNorms whose channels were repaired: a row for each, and the channels that were refused."""

import math
from collections import defaultdict
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from qdiag.cli.console import print_flowing
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.core.causes.repair import LayerFix, ModelRepair
from qdiag.core.listed import listed
from qdiag.core.measures.measurement import Measurement
from qdiag.reading.words.numbers import number

_CHANNELS_AT_MOST = 6
_REFUSALS_AT_MOST = 8
_NO_LAYER = "it is not known without the layer that takes the BatchNorm in"


def print_batchnorms(console: Console, fix: ModelRepair) -> None:
    """Table and reasons on `console`."""
    console.print(fit_table(console, Column("BatchNorm", lambda row: Text(row.name)), _columns(fix), fix.batchnorms))
    console.print()
    for line in _refusal_lines(fix):
        print_flowing(console, line)


def _columns(fix: ModelRepair) -> list[Column[LayerFix]]:
    columns: list[Column[LayerFix]] = [
        Column(
            "folds into",
            lambda row: Text(row.folds_into or "-", style="dim"),
            30,
            is_left=True,
            dash="no layer takes the BatchNorm in",
        ),
        Column("dead\nof all", lambda row: Text(f"{len(row.channels)}/{row.channel_count}"), 100),
        Column("channels", lambda row: Text(_channels(row)), 40, is_left=True),
        Column(
            "largest |gain|\nbefore → after",
            _pair(lambda r: (r.gain_max_abs_before, r.gain_max_abs_after)),
            80,
            dash=_NO_LAYER,
        ),
        Column(
            "largest |folded weight|\nbefore → after",
            _pair(lambda r: (r.folded_max_abs_before, r.folded_max_abs_after)),
            90,
            dash=_NO_LAYER,
        ),
    ]
    if fix.refused_channels:
        columns.insert(2, Column("refused", lambda row: Text(str(row.refused_count), style="yellow"), 95))
    if fix.before is not None and fix.after is not None:
        columns.append(
            Column(
                "local SQNR, dB\nbefore → after", _local(fix.before, fix.after), 85, dash="the layer was not measured"
            )
        )
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
        return Text(f"{number(old[name])} → {number(new[name])}" if name in old and name in new else "-")

    return cell


def _channels(row: LayerFix) -> str:
    return listed([channel.channel for channel in row.channels], _CHANNELS_AT_MOST)


def _refusal_lines(fix: ModelRepair) -> list[Text]:
    """Refused channels by reason."""
    groups: dict[str, list[str]] = defaultdict(list)
    for layer, channel in fix.refused_channels:
        groups[channel.refused or ""].append(f"{layer.name}[{channel.channel}]")
    lines = []
    for reason, names in groups.items():
        lines.append(Text.assemble((f"refused {listed(names, _CHANNELS_AT_MOST)}: ", "yellow"), reason))
    rest = len(lines) - _REFUSALS_AT_MOST
    return [*lines[:_REFUSALS_AT_MOST], Text(f"and {rest} more refusals: --json has all")] if rest > 0 else lines
