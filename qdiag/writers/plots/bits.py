"""Accuracy, or agreement, and output SQNR against the width of all weights and activations."""

import math

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qdiag.core.diagnosis import BitsPoint, Diagnosis
from qdiag.writers.plots.figure import BLUE, GREY, ORANGE, VERMILION
from qdiag.writers.plots.frame import empty_figure, legend_below, network_words, new_figure, plain, title


def bits_figure(diagnosis: Diagnosis) -> Figure:
    """Left the task with 95 % intervals of the drop and the float network, right the output SQNR."""
    points = sorted(diagnosis.bits, key=lambda point: point.bits)
    heading = f"Accuracy against bits: {network_words(diagnosis.measurement)}"
    if not points:
        return empty_figure(heading, "not measured")
    has_task = any(not math.isnan(point.score.task_percent) for point in points)
    is_labelled = any(point.score.task.top1 is not None for point in points)
    figure = new_figure(9.0 if has_task else 5.5, 3.9)
    panels = figure.subplots(1, 2 if has_task else 1, squeeze=False)[0]
    handles: list[Artist] = []
    if has_task:
        axes = plain(panels[0])
        for point in points:
            bounds = _bounds(point)
            if bounds is not None:
                axes.vlines(point.bits, *bounds, color=BLUE, linewidth=1.2)
        known = [(p.bits, p.score.task_percent) for p in points if not math.isnan(p.score.task_percent)]
        axes.plot([bits for bits, _ in known], [value for _, value in known], "o-", color=BLUE)
        reference = _float_percent(points)
        axes.axhline(reference, color="black", linestyle="--", linewidth=1.0)
        axes.set_ylim(min(0.0, *(value for _, value in known)), max(reference, *(v for _, v in known)) * 1.06)
        axes.set_ylabel("top-1 accuracy [%]" if is_labelled else "same top-1 as the float network [%]")
        handles.append(Line2D([], [], color=BLUE, marker="o", label="quantized"))
        if any(_bounds(point) is not None for point in points):
            handles.append(Line2D([], [], color=BLUE, linewidth=1.2, label="95 % interval of the drop"))
        handles.append(Line2D([], [], color="black", linestyle="--", label=f"float: {reference:.1f} %"))
    axes = plain(panels[-1])
    sqnr = [(point.bits, point.score.output_sqnr_db) for point in points]
    finite = [(bits, value) for bits, value in sqnr if math.isfinite(value)]
    axes.plot([bits for bits, _ in finite], [value for _, value in finite], "s-", color=ORANGE)
    handles.append(Line2D([], [], color=ORANGE, marker="s", label="output SQNR"))
    odd = [bits for bits, value in sqnr if not math.isfinite(value)]
    if not finite:
        axes.set_yticks([])
    if odd:
        axes.plot(odd, [0.03] * len(odd), "x", color=VERMILION, transform=axes.get_xaxis_transform(), clip_on=False)
        handles.append(Line2D([], [], linestyle="none", marker="x", color=VERMILION, label="not finite"))
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.set_ylabel("output SQNR [dB]")
    for axes in panels:
        axes.set_xticks([point.bits for point in points])
        axes.set_xlim(points[0].bits - 0.7, points[-1].bits + 0.7)
        axes.set_xlabel("bits of weights and activations")
    title(figure, heading)
    legend_below(figure, handles, columns=5)
    return figure


def _bounds(point: BitsPoint) -> tuple[float, float] | None:
    """Of the quantized network's accuracy, the float one taken as it was measured."""
    top1 = point.score.task.top1
    if top1 is None or not top1.sample_count:
        return None
    drop = top1.drop_interval_pp
    return max(0.0, top1.reference_percent - drop.high), min(100.0, top1.reference_percent - drop.low)


def _float_percent(points: list[BitsPoint]) -> float:
    return next((p.score.task.top1.reference_percent for p in points if p.score.task.top1 is not None), 100.0)
