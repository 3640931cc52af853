"""What each layer's quantizers cost alone, and what leaving them out recovers."""

import math
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from qdiag.core.causes.score import Score
from qdiag.core.measures.sensitivity import Sensitivity
from qdiag.core.measures.task import loss_between
from qdiag.reading.words.layers import shorten
from qdiag.reading.words.task.figures import axis_label, change_unit, float_level, level, noun
from qdiag.writers.plots.drawing.figure import BLUE, GREY, ORANGE, VERMILION
from qdiag.writers.plots.drawing.frame import empty_figure, legend_below, new_figure, plain, short_label, title
from qdiag.writers.plots.drawing.layer_axis import figure_width, label_layers, names_height

_MARKED = 3
_LEAST_SPAN = 2.0
"""dB or points: an axis of less would make a single sample look like a mountain."""
_LEAST_LIMITS = 2.0
"""The same for other units, in losses that are harm."""

_PART_WORDS = {"both": "weights and activations", "weights": "weights", "activations": "activations"}


def sensitivity_figure(sensitivity: Sensitivity) -> Figure:
    """Up to four panels over the layers in graph order, as far as measured.

    Weakest output SQNR with only this layer quantized (low is sensitive), and what this costs of the figure that
    judges; the same with all but this layer quantized, over that with all, and what this recovers of that figure.
    """
    rows = sensitivity.rows
    words = shorten(sensitivity.model.architecture, 48)
    heading = f"Sensitivity of layers ({_PART_WORDS[sensitivity.part]}): {words}, {sensitivity.scheme.name}"
    whole = sensitivity.quantized
    judged = whole.task.judged
    criterion = judged.criterion if judged is not None else None

    def costs(score: Score | None, over: float) -> float:
        """The loss against `over`, by what the network is judged by."""
        if score is None or criterion is None:
            return math.nan
        return loss_between(criterion, reference=over, simulated=level(score, criterion))

    alone_db = [row.alone.output_sqnr_db if row.alone else math.nan for row in rows]
    alone_task = [costs(row.alone, float_level(row.alone.task, criterion)) if row.alone else math.nan for row in rows]
    but_db = [row.all_but.output_sqnr_db - whole.output_sqnr_db if row.all_but else math.nan for row in rows]
    but_task = [-costs(row.all_but, whole.task_value) for row in rows]
    unit = change_unit(criterion)
    name = short_label(noun(criterion), 20)
    what = short_label(f"{unit} of {name}" if unit else name, 32)
    panels = [
        (values, label, color)
        for values, label, color in (
            (alone_db, f"this layer alone:\n{axis_label(None)}\n(low is sensitive)", ORANGE),
            (alone_task, f"this layer alone:\ncosts [{what}]", ORANGE),
            (but_db, "all but this layer:\nrecovers [dB]", BLUE),
            (but_task, f"all but this layer:\nrecovers [{what}]", BLUE),
        )
        if any(not math.isnan(value) for value in values)
    ]
    if not panels:
        return empty_figure(heading, "no layer was measured")
    figure = new_figure(figure_width(len(rows)), 1.6 + 1.95 * len(panels) + names_height([row.layer for row in rows]))
    marked = _most_sensitive(alone_db)
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    label_layers(all_axes[-1], [row.layer for row in rows], marked)
    for axes, (values, label, color) in zip(all_axes, panels, strict=True):
        is_fixed = values in (alone_db, but_db) or unit in ("pp", "dB")
        least = _LEAST_SPAN if is_fixed or judged is None else _LEAST_LIMITS * judged.limit
        _bars(plain(axes), values, color, marked if color == ORANGE else (), least)
        axes.set_ylabel(label, fontsize=9, parse_math=False)
    if panels[0][0] is alone_db and math.isfinite(whole.output_sqnr_db):
        all_axes[0].axhline(whole.output_sqnr_db, color="black", linewidth=1.0, linestyle="--")
    title(figure, heading)
    legend_below(figure, _handles(panels, alone_db, whole.output_sqnr_db))
    return figure


def _handles(panels: Sequence[tuple[list[float], str, str]], alone_db: list[float], all_db: float) -> list[Artist]:
    colors = {color for _, _, color in panels}
    handles: list[Artist] = []
    if ORANGE in colors:
        handles.append(Patch(color=ORANGE, label="only this layer quantized"))
        handles.append(Patch(color=VERMILION, label="the same, most sensitive"))
    if BLUE in colors:
        handles.append(Patch(color=BLUE, label="all but this layer quantized"))
    if panels[0][0] is alone_db and math.isfinite(all_db):
        handles.append(Line2D([], [], color="black", linestyle="--", label=f"everything quantized: {all_db:.1f} dB"))
    drawn = [value for values, _, _ in panels for value in values]
    if any(map(math.isinf, drawn)):
        handles.append(
            Line2D([], [], linestyle="none", marker="^", color=GREY, label="infinite (downwards: -infinite)")
        )
    if any(map(math.isnan, drawn)):
        handles.append(Line2D([], [], linestyle="none", marker="x", color=VERMILION, label="not measured or not known"))
    return handles


def _bars(axes: Axes, values: Sequence[float], color: str, marked: Sequence[int], least: float) -> None:
    """A bar for each value; what is not finite is a sign."""
    width = 0.75 if len(values) <= 60 else 1.0
    heights = [value if math.isfinite(value) else 0.0 for value in values]
    colors = [VERMILION if i in marked else color for i in range(len(values))]
    axes.bar(range(len(values)), heights, width, color=colors)
    axes.axhline(0.0, color="black", linewidth=0.8)
    low, high = min(*heights, 0.0), max(*heights, 0.0)
    span = max(high - low, least if math.isfinite(least) else 0.0) or 1.0
    axes.set_ylim(low - 0.08 * span if low < 0.0 else 0.0, low + 1.08 * span)
    for infinite, marker, place in ((math.inf, "^", 0.97), (-math.inf, "v", 0.03)):
        places = [i for i, value in enumerate(values) if value == infinite]
        if places:
            axes.plot(
                places,
                [place] * len(places),
                marker,
                color=GREY,
                markersize=6,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
    unknown = [i for i, value in enumerate(values) if math.isnan(value)]
    if unknown:
        axes.plot(unknown, [0.0] * len(unknown), "x", color=VERMILION, markersize=6, clip_on=False)


def _most_sensitive(alone_db: Sequence[float]) -> list[int]:
    known = [i for i, value in enumerate(alone_db) if not math.isnan(value)]
    return sorted(known, key=lambda i: alone_db[i])[:_MARKED]
