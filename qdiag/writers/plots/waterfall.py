"""From the quantized network to the float one, repair by repair, each measured on top of those before."""

import math
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from qdiag.core.causes.ranking import Ranking
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Criterion, Interval
from qdiag.reading.labels import NOT_RECOVERED
from qdiag.reading.words.causes import repair_title, step_title
from qdiag.reading.words.layers import shorten
from qdiag.reading.words.task.figures import axis_label, change_words, float_level, level, value_words
from qdiag.writers.plots.drawing.figure import BLUE, GREEN, GREY, LIGHT_GREY, VERMILION
from qdiag.writers.plots.drawing.frame import (
    empty_figure,
    legend_below,
    network_words,
    new_figure,
    plain,
    short_label,
    title,
)

_LABEL_WIDTH = 56


@dataclass(frozen=True, slots=True)
class WaterfallBar:
    """One row, in the unit of what the network is judged by.

    Attributes:
        kind: `level` from 0; `step` from the level before, with the interval of its length; `rest` what is left.
        is_loss: a step for the worse.
    """

    label: str
    kind: str
    start: float
    end: float
    interval: Interval | None = None
    is_loss: bool = False

    @property
    def length(self) -> float:
        return self.end - self.start


def waterfall_bars(ranking: Ranking) -> tuple[WaterfallBar, ...]:
    """Quantized, one bar per repair, what is left, float; the last two only where there is a task."""
    criterion = ranking.criterion
    falls = criterion is not None and not criterion.higher_is_better  # for the better
    current = level(ranking.before, criterion)
    bars = [WaterfallBar("quantized", "level", 0.0, current)]
    for step in ranking.waterfall:
        after = level(step.after, criterion)
        interval = step.gained.task_interval if criterion is not None else step.gained.db_interval
        if falls:
            interval = Interval(-interval.high, -interval.low)
        label = f"{step_title(step)}\n{repair_title(step.repair)}"
        is_loss = after > current if falls else after < current
        bars.append(WaterfallBar(label, "step", current, after, interval, is_loss))
        current = after
    if criterion is not None:
        reference = float_level(ranking.before.task, criterion)
        bars.append(WaterfallBar(NOT_RECOVERED, "rest", current, reference))
        bars.append(WaterfallBar("float", "level", 0.0, reference))
    return tuple(bars)


def waterfall_figure(diagnosis: Diagnosis) -> Figure:
    """Bars from top to bottom; whiskers are 95 % intervals of what a step recovered."""
    ranking = diagnosis.ranking
    bars = waterfall_bars(ranking)
    heading = f"What each repair recovers: {network_words(diagnosis.measurement)}"
    finite = [bar for bar in bars if math.isfinite(bar.start) and math.isfinite(bar.end)]
    if not finite:
        return empty_figure(heading, "no finite figure of the quantized network")
    figure = new_figure(9.0, 1.5 + 0.52 * len(bars))
    axes = plain(figure.add_subplot(), "x")
    handles = _draw(axes, bars, ranking.criterion)
    labels = ["\n".join(shorten(line, _LABEL_WIDTH) for line in bar.label.splitlines()) for bar in bars]
    axes.set_yticks(range(len(bars)), labels, fontsize=9)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlabel(short_label(axis_label(ranking.criterion)), parse_math=False)
    low = min(0.0, *(min(bar.start, bar.end) for bar in finite))
    least = 1.0 if ranking.criterion is None or ranking.criterion.is_share else 0.0
    high = max(*(max(bar.start, bar.end) for bar in finite), low + least)
    high = high if high > low else low + 1.0
    axes.set_xlim(low * 1.15, low + (high - low) * 1.17)  # room for the figure behind the longest bar
    title(figure, heading)
    legend_below(figure, handles, columns=4)
    return figure


def _draw(axes: Axes, bars: tuple[WaterfallBar, ...], criterion: Criterion | None) -> list[Artist]:
    has_loss = has_whisker = False
    for i, bar in enumerate(bars):
        if not (math.isfinite(bar.start) and math.isfinite(bar.end)):
            axes.plot([0.0], [i], "x", color=VERMILION, markersize=8)
            axes.annotate("not finite", (0.0, i), (8, 0), textcoords="offset points", va="center", fontsize=9)
            continue
        has_loss |= bar.is_loss
        color = {"level": BLUE, "step": VERMILION if bar.is_loss else GREEN}.get(bar.kind, "white")
        hatch, edge = ("////", GREY) if bar.kind == "rest" else (None, "none")
        axes.barh(i, bar.length, 0.62, left=bar.start, color=color, hatch=hatch, edgecolor=edge, linewidth=0.8)
        right = max(bar.start, bar.end)
        if bar.interval is not None and math.isfinite(bar.interval.low) and math.isfinite(bar.interval.high):
            bounds = [bar.start + bar.interval.low, bar.start + bar.interval.high]
            axes.plot(bounds, [i, i], "|-", color="black", markersize=7, linewidth=1.2)
            right, has_whisker = max(right, *bounds), True
        words = value_words(criterion, bar.end) if bar.kind == "level" else _signed(criterion, bar.length)
        axes.annotate(
            short_label(words),
            (right, i),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            parse_math=False,
        )
        if i + 1 < len(bars):
            axes.plot([bar.end, bar.end], [i - 0.31, i + 1.31], color=LIGHT_GREY, linewidth=1.0, zorder=0)
    handles: list[Artist] = [Patch(color=BLUE, label="network"), Patch(color=GREEN, label="recovered")]
    if has_loss:
        handles.append(Patch(color=VERMILION, label="lost again"))
    if any(bar.kind == "rest" for bar in bars):
        handles.append(Patch(facecolor="white", edgecolor=GREY, hatch="////", label="not recovered"))
    if has_whisker:
        handles.append(Line2D([], [], color="black", marker="|", markersize=7, label="95 % interval"))
    return handles


def _signed(criterion: Criterion | None, change: float) -> str:
    return f"{'+' if change >= 0.0 else ''}{change_words(criterion, change)}"
