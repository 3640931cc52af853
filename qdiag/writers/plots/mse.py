"""Mean squared error by layer in graph order, local and propagated, on a log scale."""

import math
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qdiag.core.measures.measurement import Measurement
from qdiag.writers.plots.figure import BLUE, GREY, ORANGE, VERMILION
from qdiag.writers.plots.frame import empty_figure, legend_below, log_scale, network_words, new_figure, plain, title
from qdiag.writers.plots.layer_axis import figure_width, float_ground, label_layers
from qdiag.writers.words.layer_row import layer_rows

_SMALLEST = 1e-30


def mse_figure(measurement: Measurement) -> Figure:
    """One point per layer and kind of error; no error at all is an arrow at the lower edge, no figure a cross.

    The unit is that of the layer's own output, squared: neighbours compare only where their outputs have one size.
    """
    rows = layer_rows(measurement.records)
    heading = f"Mean squared error by layer: {network_words(measurement)}"
    if not rows:
        return empty_figure(heading, "no layers")
    local = [row.record.local.mse for row in rows]
    propagated = [row.record.propagated.mse for row in rows]
    figure = new_figure(figure_width(len(rows)), 5.2)
    axes = plain(figure.add_subplot())
    log_scale(axes)
    low, high = _limits([*local, *propagated])
    axes.set_ylim(low, high)
    size = 5.0 if len(rows) <= 60 else 3.0
    handles: list[Artist] = [
        _line(axes, local, "local (this layer alone)", ORANGE, "o", size),
        _line(axes, propagated, "propagated (all before it too)", BLUE, "s", size),
    ]
    values = [*local, *propagated]
    if any(value == 0.0 for value in values):
        handles.append(Line2D([], [], linestyle="none", marker="v", color=GREY, label="0: no error"))
    if any(not math.isfinite(value) for value in values):
        handles.append(Line2D([], [], linestyle="none", marker="x", color=VERMILION, label="nothing finite"))
    handles += float_ground(axes, rows)
    label_layers(axes, [row.record.name for row in rows])
    axes.set_ylabel("MSE [output units²], lower is better")
    title(figure, heading)
    legend_below(figure, handles)
    return figure


def _limits(values: Sequence[float]) -> tuple[float, float]:
    positive = [value for value in values if math.isfinite(value) and value > _SMALLEST]
    if not positive:
        return 1e-3, 1.0
    low, high = min(positive), max(positive)
    return low / 3.0, high * 2.0


def _line(axes: Axes, values: Sequence[float], label: str, color: str, marker: str, size: float) -> Line2D:
    drawn = [value if math.isfinite(value) and value > _SMALLEST else math.nan for value in values]
    (line,) = axes.plot(drawn, "-", color=color, label=label, linewidth=1.4, marker=marker, markersize=size)
    floor = axes.get_ylim()[0]
    none = [i for i, value in enumerate(values) if value <= _SMALLEST]
    odd = [i for i, value in enumerate(values) if not math.isfinite(value)]
    for places, sign, tint in ((none, "v", color), (odd, "x", VERMILION)):
        if places:
            axes.plot(places, [floor] * len(places), sign, color=tint, markersize=8, clip_on=False, zorder=5)
    return line
