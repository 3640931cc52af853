"""From the quantized network to the float one, repair by repair, each measured on top of those before."""

import math
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from qdiag.core.causes.ranking import Ranking, Score
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Interval
from qdiag.writers.plots.figure import BLUE, GREEN, GREY, LIGHT_GREY, VERMILION
from qdiag.writers.plots.frame import empty_figure, legend_below, network_words, new_figure, plain, title
from qdiag.writers.words.causes import repair_title, step_title
from qdiag.writers.words.layers import shorten
from qdiag.writers.words.numbers import number, task_noun

_LABEL_WIDTH = 56


@dataclass(frozen=True, slots=True)
class WaterfallBar:
    """One row, in points or dB.

    Attributes:
        kind: `level` from 0; `step` from the level before, with the interval of its length; `rest` what is left.
    """

    label: str
    kind: str
    start: float
    end: float
    interval: Interval | None = None

    @property
    def length(self) -> float:
        return self.end - self.start


def waterfall_bars(ranking: Ranking) -> tuple[WaterfallBar, ...]:
    """Quantized, one bar per repair, what is left, float; the last two only where there is a task."""
    has_task = ranking.task_kind != "none"
    level = _level(ranking.before, has_task)
    bars = [WaterfallBar("quantized", "level", 0.0, level)]
    for step in ranking.waterfall:
        after = _level(step.after, has_task)
        interval = step.gained.pp_interval if has_task else step.gained.db_interval
        label = f"{step_title(step)}\n{repair_title(step.repair)}"
        bars.append(WaterfallBar(label, "step", level, after, interval))
        level = after
    if has_task:
        reference = level + ranking.remainder_pp
        bars.append(WaterfallBar("not given back by any repair here", "rest", level, reference))
        bars.append(WaterfallBar("float", "level", 0.0, reference))
    return tuple(bars)


def _level(score: Score, has_task: bool) -> float:
    return score.task_percent if has_task else score.output_sqnr_db


def waterfall_figure(diagnosis: Diagnosis) -> Figure:
    """Bars from top to bottom; whiskers are 95 % intervals of what a step gave back."""
    ranking = diagnosis.ranking
    bars = waterfall_bars(ranking)
    heading = f"What each repair gives back: {network_words(diagnosis.measurement)}"
    finite = [bar for bar in bars if math.isfinite(bar.start) and math.isfinite(bar.end)]
    if not finite:
        return empty_figure(heading, "no finite figure of the quantized network")
    figure = new_figure(9.0, 1.5 + 0.52 * len(bars))
    axes = plain(figure.add_subplot(), "x")
    unit = "pp" if ranking.task_kind != "none" else "dB"
    handles = _draw(axes, bars, unit)
    labels = ["\n".join(shorten(line, _LABEL_WIDTH) for line in bar.label.splitlines()) for bar in bars]
    axes.set_yticks(range(len(bars)), labels, fontsize=9)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    noun = {"top1": "top-1 accuracy [%]", "agreement": "same top-1 as the float network [%]"}.get(
        ranking.task_kind, f"{task_noun('none')} [dB]"
    )
    axes.set_xlabel(noun)
    low = min(0.0, *(min(bar.start, bar.end) for bar in finite))
    high = max(*(max(bar.start, bar.end) for bar in finite), low + 1.0)
    axes.set_xlim(low * 1.15, low + (high - low) * 1.17)  # room for the figure behind the longest bar
    title(figure, heading)
    legend_below(figure, handles, columns=4)
    return figure


def _draw(axes: Axes, bars: tuple[WaterfallBar, ...], unit: str) -> list[Artist]:
    has_loss = has_whisker = False
    level_unit = "%" if unit == "pp" else unit
    for i, bar in enumerate(bars):
        if not (math.isfinite(bar.start) and math.isfinite(bar.end)):
            axes.plot([0.0], [i], "x", color=VERMILION, markersize=8)
            axes.annotate("not finite", (0.0, i), (8, 0), textcoords="offset points", va="center", fontsize=9)
            continue
        is_loss = bar.kind == "step" and bar.length < 0.0
        has_loss |= is_loss
        color = {"level": BLUE, "step": VERMILION if is_loss else GREEN}.get(bar.kind, "white")
        hatch, edge = ("////", GREY) if bar.kind == "rest" else (None, "none")
        axes.barh(i, bar.length, 0.62, left=bar.start, color=color, hatch=hatch, edgecolor=edge, linewidth=0.8)
        right = max(bar.start, bar.end)
        if bar.interval is not None and math.isfinite(bar.interval.low) and math.isfinite(bar.interval.high):
            bounds = [bar.start + bar.interval.low, bar.start + bar.interval.high]
            axes.plot(bounds, [i, i], "|-", color="black", markersize=7, linewidth=1.2)
            right, has_whisker = max(right, *bounds), True
        words = f"{number(bar.end)} {level_unit}" if bar.kind == "level" else f"{bar.length:+.1f} {unit}"
        axes.annotate(words, (right, i), (6, 0), textcoords="offset points", va="center", fontsize=9)
        if i + 1 < len(bars):
            axes.plot([bar.end, bar.end], [i - 0.31, i + 1.31], color=LIGHT_GREY, linewidth=1.0, zorder=0)
    handles: list[Artist] = [Patch(color=BLUE, label="network"), Patch(color=GREEN, label="given back")]
    if has_loss:
        handles.append(Patch(color=VERMILION, label="lost again"))
    if any(bar.kind == "rest" for bar in bars):
        handles.append(Patch(facecolor="white", edgecolor=GREY, hatch="////", label="left over"))
    if has_whisker:
        handles.append(Line2D([], [], color="black", marker="|", markersize=7, label="95 % interval"))
    return handles
