"""The five losses of arXiv 1803.08607, section 2, as shares of their sum, layer by layer."""

import math

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.records import LOSSES, OpRecord
from qdiag.reading.words.task.sample_counts import losses_on
from qdiag.writers.plots.drawing.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from qdiag.writers.plots.drawing.frame import (
    empty_figure,
    legend_below,
    log_scale,
    network_words,
    new_figure,
    plain,
    title,
)
from qdiag.writers.plots.drawing.layer_axis import figure_width, label_layers, names_height

_COLORS = (BLUE, ORANGE, VERMILION, SKY, PURPLE)


def losses_figure(measurement: Measurement) -> Figure:
    """Above: shares of the sum of the five noise powers. Below: that sum over the local noise power.

    Each loss is measured alone. Where they are independent the ratio is 1; where it is not, they add up or cancel, and
    the shares are shares of the sum, not of the layer's noise.
    """
    records = [record for record in measurement.records if record.losses is not None]
    on = f" {losses_on(measurement)}" if losses_on(measurement) else ""
    heading = f"Five losses by layer, each measured alone{on}: {network_words(measurement)}"
    if not records:
        return empty_figure(heading, "not measured: no layer has them")
    figure = new_figure(figure_width(len(records)), 6.4 + names_height([record.name for record in records]))
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3.0, 1.2)})
    handles = _shares(plain(above), records)
    handles += _sums(plain(below), records)
    above.set_ylabel("share of the sum\nof the five [%]")
    below.set_ylabel("sum of the five\n/ local noise [x]")
    label_layers(below, [record.name for record in records])
    above.tick_params(axis="x", labelbottom=False, length=0)
    title(
        figure,
        f"{heading}\nThe five do not add up exactly (lower panel): they reinforce below 1 and cancel above it",
    )
    legend_below(figure, handles, columns=5)
    return figure


def _shares(axes: Axes, records: list[OpRecord]) -> list[Artist]:
    handles: list[Artist] = []
    places = range(len(records))
    bottoms = [0.0] * len(records)
    powers = [[value if math.isfinite(value) else 0.0 for value in _powers(record)] for record in records]
    totals = [sum(row) for row in powers]
    width, edge = (0.8, 0.4) if len(records) <= 60 else (1.0, 0.0)
    for i, (name, color) in enumerate(zip(LOSSES, _COLORS, strict=True)):
        heights = [100.0 * row[i] / total if total > 0.0 else 0.0 for row, total in zip(powers, totals, strict=True)]
        axes.bar(places, heights, width, bottom=bottoms, color=color, edgecolor="white", linewidth=edge)
        handles.append(Patch(color=color, label=name))
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    for i, total in enumerate(totals):
        if not total > 0.0:
            axes.text(i, 50.0, "no noise", rotation=90, color=GREY, fontsize=8, ha="center", va="center")
    axes.set_ylim(0.0, 100.0)
    return handles


def _sums(axes: Axes, records: list[OpRecord]) -> list[Artist]:
    ratios = [_ratio(record) for record in records]
    known = [(i, ratio) for i, ratio in enumerate(ratios) if math.isfinite(ratio) and ratio > 0.0]
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.plot([i for i, _ in known], [r for _, r in known], "o", color=GREEN, markersize=4)
    log_scale(axes)
    values = [ratio for _, ratio in known]
    axes.set_ylim(min([0.5, *(v / 1.5 for v in values)]), max([2.0, *(v * 1.5 for v in values)]))
    axes.yaxis.set_minor_locator(NullLocator())
    odd = [i for i, ratio in enumerate(ratios) if not (math.isfinite(ratio) and ratio > 0.0)]
    if not odd:
        return []
    floor, label = axes.get_ylim()[0], "no ratio: without noise, or not finite"
    return axes.plot(odd, [floor] * len(odd), "x", color=VERMILION, markersize=6, clip_on=False, label=label)  # type: ignore[return-value]


def _ratio(record: OpRecord) -> float:
    """Over the losses that the layer can have: where sums are in float, there is no saturation."""
    known = [power for power in _powers(record) if not math.isnan(power)]
    total, local = sum(known) if known else math.nan, record.local.mse
    return total / local if local > 0.0 else math.nan


def _powers(record: OpRecord) -> tuple[float, ...]:
    return record.losses.powers if record.losses is not None else ()
