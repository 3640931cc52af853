"""What the network is judged by, and its weakest output SQNR, against the width of all weights and activations."""

import math

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qdiag.core.diagnosis import BitsPoint, Diagnosis
from qdiag.core.measures.task import Criterion
from qdiag.reading.words.layers import other_widths_words
from qdiag.reading.words.task.figures import WEAKEST_SQNR, axis_label, float_level, level, noun, value_words
from qdiag.writers.plots.drawing.figure import BLUE, GREY, ORANGE, VERMILION
from qdiag.writers.plots.drawing.frame import (
    empty_figure,
    legend_below,
    network_words,
    new_figure,
    plain,
    short_label,
    title,
)


def bits_figure(diagnosis: Diagnosis) -> Figure:
    """Left what the network is judged by, with 95 % intervals of the loss and the float network, right SQNR."""
    points = sorted(diagnosis.bits, key=lambda point: point.bits)
    criterion = diagnosis.ranking.criterion
    what = short_label(noun(criterion))
    what = what[:1].upper() + what[1:]
    heading = f"{what} against bits: {network_words(diagnosis.measurement)}"
    if not points:
        return empty_figure(heading, "not measured")
    known = [(point.bits, level(point.score, criterion)) for point in points]
    known = [(bits, value) for bits, value in known if criterion is not None and math.isfinite(value)]
    figure = new_figure(9.0 if known else 5.5, 3.9)
    panels = figure.subplots(1, 2 if known else 1, squeeze=False)[0]
    handles: list[Artist] = []
    if known and criterion is not None:
        handles += _draw_task(plain(panels[0]), points, known, criterion)
    axes = plain(panels[-1])
    sqnr = [(point.bits, point.score.output_sqnr_db) for point in points]
    finite = [(bits, value) for bits, value in sqnr if math.isfinite(value)]
    axes.plot([bits for bits, _ in finite], [value for _, value in finite], "s-", color=ORANGE)
    handles.append(Line2D([], [], color=ORANGE, marker="s", label=WEAKEST_SQNR))
    odd = [bits for bits, value in sqnr if not math.isfinite(value)]
    if not finite:
        axes.set_yticks([])
    if odd:
        axes.plot(odd, [0.03] * len(odd), "x", color=VERMILION, transform=axes.get_xaxis_transform(), clip_on=False)
        handles.append(Line2D([], [], linestyle="none", marker="x", color=VERMILION, label="not finite"))
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.set_ylabel(axis_label(None))
    for axes in panels:
        axes.set_xticks([point.bits for point in points])
        axes.set_xlim(points[0].bits - 0.7, points[-1].bits + 0.7)
        axes.set_xlabel("bits of weights and activations")
    words = other_widths_words(diagnosis.measurement.scheme)
    title(figure, f"{heading}\n{words}" if words else heading)
    legend_below(figure, handles, columns=5)
    return figure


def _draw_task(
    axes: Axes, points: list[BitsPoint], known: list[tuple[int, float]], criterion: Criterion
) -> list[Artist]:
    bounds = {point.bits: _bounds(point, criterion) for point in points}
    for bits, ends in bounds.items():
        if ends is not None:
            axes.vlines(bits, *ends, color=BLUE, linewidth=1.2)
    axes.plot([bits for bits, _ in known], [value for _, value in known], "o-", color=BLUE)
    handles: list[Artist] = [Line2D([], [], color=BLUE, marker="o", label="quantized")]
    if any(ends is not None for ends in bounds.values()):
        change = "drop" if criterion.higher_is_better else "rise"
        handles.append(Line2D([], [], color=BLUE, linewidth=1.2, label=f"95 % interval of the {change}"))
    there = {point.bits: float_level(point.score.task, criterion) for point in points}
    there = {bits: value for bits, value in there.items() if math.isfinite(value)}
    reference = next(iter(there.values()), math.nan)
    values = [value for _, value in known]
    if len(set(there.values())) > 1:  # widths that were measured on different samples
        axes.plot(list(there), list(there.values()), "_", color="black", markersize=16)
        handles.append(Line2D([], [], color="black", marker="_", linestyle="none", label="float, same samples"))
        values.extend(there.values())
    elif math.isfinite(reference):
        axes.axhline(reference, color="black", linestyle="--", linewidth=1.0)
        label = short_label(f"float: {value_words(criterion, reference)}")
        handles.append(Line2D([], [], color="black", linestyle="--", label=label))
        values.append(reference)
    low, high = min(0.0, *values), max(0.0, *values)
    axes.set_ylim(low * 1.06, high * 1.06 or 1.0)
    axes.set_ylabel(short_label(axis_label(criterion)), parse_math=False)
    return handles


def _bounds(point: BitsPoint, criterion: Criterion) -> tuple[float, float] | None:
    """Of the quantized network's figure, the float one taken as it was measured."""
    found = point.score.task.figure(criterion.name)
    if found is None or not (math.isfinite(found.loss_interval.low) and math.isfinite(found.loss_interval.high)):
        return None
    sign = -1.0 if criterion.higher_is_better else 1.0
    low, high = sorted(found.reference + sign * end for end in (found.loss_interval.low, found.loss_interval.high))
    return (max(0.0, low), min(100.0, high)) if criterion.is_share else (low, high)
