"""Mean squared error by layer in graph order, local and propagated, on a log scale."""

import math

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qdiag.core.measures.measurement import Measurement
from qdiag.reading.words.layer_row import layer_rows
from qdiag.writers.plots.drawing.error_line import error_limits, error_line
from qdiag.writers.plots.drawing.figure import BLUE, GREY, ORANGE, VERMILION
from qdiag.writers.plots.drawing.frame import (
    empty_figure,
    legend_below,
    log_scale,
    network_words,
    new_figure,
    plain,
    title,
)
from qdiag.writers.plots.drawing.layer_axis import feeding, figure_width, float_ground, label_layers


def mse_figure(measurement: Measurement) -> Figure:
    """One point per layer and kind of error; no error at all is an arrow at the lower edge, no figure a cross.

    What has arrived is a line to each layer from those that feed it. Layers are categories: what one adds is a point.
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
    axes.set_ylim(*error_limits([*local, *propagated], 2.0))
    size = 5.0 if len(rows) <= 60 else 3.0
    handles: list[Artist] = [
        error_line(axes, local, "local (this layer alone)", ORANGE, "o", size, _is_odd, ()),
        error_line(axes, propagated, "propagated (all before it too)", BLUE, "s", size, _is_odd, feeding(rows)),
    ]
    values = [*local, *propagated]
    if any(value == 0.0 for value in values):
        handles.append(Line2D([], [], linestyle="none", marker="v", color=GREY, label="0: no error"))
    if any(map(_is_odd, values)):
        handles.append(Line2D([], [], linestyle="none", marker="x", color=VERMILION, label="nothing finite"))
    handles += float_ground(axes, rows)
    label_layers(axes, [row.record.name for row in rows])
    axes.set_ylabel("MSE [output units²], lower is better")
    title(figure, heading)
    legend_below(figure, handles)
    return figure


def _is_odd(value: float) -> bool:
    return not math.isfinite(value)
