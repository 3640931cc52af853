"""SQNR by layer in graph order: local, propagated, and expected from the range alone."""

import math
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qdiag.core.measures.measurement import Measurement, lowest_sqnr_db
from qdiag.reading.words.layer_row import LayerRow, exact_from_db, layer_rows, weakest
from qdiag.reading.words.layers import drop_common_prefix, shorten
from qdiag.reading.words.numbers import with_unit
from qdiag.reading.words.task.figures import WEAKEST_SQNR, from_to
from qdiag.writers.plots.drawing.figure import BLUE, GREY, LIGHT_GREY, ORANGE, VERMILION
from qdiag.writers.plots.drawing.layer_axis import feeding, figure_width, float_ground, label_layers


def sqnr_figure(measurement: Measurement) -> Figure:
    """The figure behind `--plot`.

    Layers are categories: what each loses alone is a point of its own, and only what passes from one to the next, the
    propagated SQNR, is a line.

    A line leads to a layer from each that feeds it. Infinite values, and those of layers that are all but exact, are
    drawn at the edge with an arrow, layers in float on a grey ground, the layer with the lowest
    local SQNR with a ring and its name.
    """
    rows = layer_rows(measurement.records)
    exact = exact_from_db(rows)
    figure = Figure(figsize=(figure_width(len(rows)), 5.6), layout="constrained")
    axes = figure.add_subplot()
    low, high = _limits(rows, exact)
    axes.set_ylim(low, high)
    size = 5.0 if len(rows) <= 60 else 3.0
    handles: list[Artist] = [
        _line(axes, [r.record.expected_sqnr_db for r in rows], "expected from the range", GREY, "--", None, 1.0, 0),
        _arrivals(axes, rows, exact, size),
        _line(
            axes, _shown([r.local_db for r in rows], exact), "local (this layer alone)", ORANGE, "none", "o", 1.2, size
        ),
    ]
    handles += _infinity_key(rows, exact)
    handles += float_ground(axes, rows)
    worst = weakest(rows)
    marked: list[int] = []
    if worst is not None:
        marked = [next(i for i, row in enumerate(rows) if row is worst)]
        handles.append(_mark(axes, rows, marked[0], low, high))
    label_layers(axes, [row.record.name for row in rows], marked)
    axes.set_ylabel("SQNR [dB], higher is better")
    axes.grid(axis="y", color=LIGHT_GREY, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_title(_title(measurement), loc="left", fontsize=11, pad=12)
    columns = 7 if figure.get_figwidth() > 15 else 3
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def _shown(values: Sequence[float], exact: float) -> list[float]:
    return [math.inf if value > exact else value for value in values]


def _arrivals(axes: Axes, rows: Sequence[LayerRow], exact: float, size: float) -> Line2D:
    """The propagated SQNR of all layers, with a line from each layer that feeds one to it."""
    values = _shown([row.propagated_db for row in rows], exact)
    _line(axes, values, "_points", BLUE, "none", "s", 0.0, size)
    finite = [edge for edge in feeding(rows) if all(math.isfinite(values[end]) for end in edge)]
    ends = [(a, b, math.nan) for a, b in finite], [(values[a], values[b], math.nan) for a, b in finite]
    x, y = ([value for edge in part for value in edge] for part in ends)
    label = "propagated (all before it too)"
    (line,) = axes.plot(x, y, "-", color=BLUE, linewidth=1.8, marker="s", markersize=size, label=label)
    return line


def _limits(rows: Sequence[LayerRow], exact: float) -> tuple[float, float]:
    values = [v for r in rows for v in (r.local_db, r.propagated_db, r.record.expected_sqnr_db) if math.isfinite(v)]
    values = [value for value in values if value <= exact]
    if not values:
        return -5.0, 50.0
    low, high = min(*values, 0.0), max(*values, 10.0)
    span = high - low
    return low - 0.12 * span, high + 0.06 * span  # room for the name of the weakest layer below its point


def _line(
    axes: Axes,
    values: Sequence[float],
    label: str,
    color: str,
    style: str,
    marker: str | None,
    width: float,
    size: float,
) -> Line2D:
    drawn = [v if math.isfinite(v) else math.nan for v in values]
    (line,) = axes.plot(
        drawn, linestyle=style, color=color, label=label, linewidth=width, marker=marker, markersize=size
    )
    low, high = axes.get_ylim()
    for infinite, edge, arrow in ((math.inf, high, "^"), (-math.inf, low, "v")):
        places = [i for i, v in enumerate(values) if v == infinite]
        if places:
            axes.plot(places, [edge] * len(places), arrow, color=color, markersize=8, clip_on=False, zorder=5)
    return line


def _infinity_key(rows: Sequence[LayerRow], exact: float) -> list[Line2D]:
    figures = {v for row in rows for v in (row.local_db, row.propagated_db)}
    values = {*_shown(list(figures), exact)}
    is_capped = any(exact < value < math.inf for value in figures)
    words = (
        (math.inf, "^", "exact, or all but exact" if is_capped else "infinite: no error"),
        (-math.inf, "v", "-infinite: noise without signal"),
    )
    return [
        Line2D([], [], linestyle="none", marker=marker, color=GREY, markersize=8, label=label)
        for infinite, marker, label in words
        if infinite in values
    ]


def _mark(axes: Axes, rows: Sequence[LayerRow], place: int, low: float, high: float) -> Line2D:
    value = rows[place].local_db
    y = value if low <= value <= high else low
    (ring,) = axes.plot(
        [place],
        [y],
        "o",
        markersize=13,
        markerfacecolor="none",
        markeredgecolor=VERMILION,
        markeredgewidth=2.0,
        label="weakest layer",
        linestyle="none",
        zorder=6,
        clip_on=False,
    )
    name = shorten(drop_common_prefix([row.record.name for row in rows])[place], 40)
    left_half = place < len(rows) / 2
    # Nothing is drawn between the lowest value and the axis, so the name covers no line there.
    foot = low + 0.03 * (high - low)
    axes.plot([place, place], [foot, y], ":", color=VERMILION, linewidth=1.2, zorder=1)
    axes.annotate(
        f"{name}: {value:.1f} dB",
        (place, foot),
        xytext=(12 if left_half else -12, 0),
        textcoords="offset points",
        ha="left" if left_half else "right",
        va="bottom",
        color=VERMILION,
        fontsize=9,
        fontweight="bold",
        zorder=7,
    )
    return ring


def _title(measurement: Measurement) -> str:
    judged = measurement.task.judged
    parts = [f"{shorten(measurement.model.architecture, 48)}, {measurement.scheme.name}"]
    if judged is not None:
        parts.append(shorten(f"{judged.criterion.name} {from_to(judged)}", 64))
    elif measurement.outputs:
        parts.append(f"{WEAKEST_SQNR} {with_unit(lowest_sqnr_db(measurement.outputs, measurement.task), 'dB')}")
    if measurement.data.is_data_free:
        parts.append("DATA-FREE: drawn inputs, no images")
    return "   |   ".join(parts)
