"""Mean squared error by layer of two networks in one picture (arXiv 2212.01593, figure 6)."""

import math
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qdiag.core.compare import Comparison
from qdiag.core.measures.measurement import Measurement
from qdiag.writers.plots.drawing.error_line import SMALLEST, error_limits, error_line
from qdiag.writers.plots.drawing.figure import BLUE, GREY, ORANGE, VERMILION
from qdiag.writers.plots.drawing.frame import (
    empty_figure,
    legend_below,
    log_scale,
    new_figure,
    plain,
    short_label,
    title,
)
from qdiag.writers.plots.drawing.layer_axis import figure_width, label_layers


def compared_errors_figure(comparison: Comparison, before: Measurement, after: Measurement) -> Figure:
    """Of the layers that both networks have, in the order of the second one, inside each quantized network.

    A block of parallel branches stands beside the one convolution that the other network has in its place.

    Args:
        comparison: of `before` and `after`, which matches their layers.
    """
    layers = comparison.layers
    place = "at the layers that both networks have" if comparison.missing or comparison.new else "by layer"
    return two_errors_figure(
        [layer.name for layer in layers],
        [before.record(layer.name_before).propagated.mse for layer in layers],
        [after.record(layer.name).propagated.mse for layer in layers],
        (short_label(f"before: {comparison.before.source}"), short_label(f"after: {comparison.after.source}")),
        f"Mean squared error {place}, before and after",
    )


def two_errors_figure(
    names: Sequence[str],
    first: Sequence[float],
    second: Sequence[float],
    labels: tuple[str, str],
    heading: str,
) -> Figure:
    """Two lines over the same layers on a log scale; no error at all is an arrow at the lower edge.

    Args:
        names: of the layers, in graph order. first, second: MSE there, NaN where a network has no such layer.
        labels: of the two networks, for the legend.
    """
    if not names:
        return empty_figure(heading, "no layers")
    figure = new_figure(figure_width(len(names)), 4.8)
    axes = plain(figure.add_subplot())
    log_scale(axes)
    axes.set_ylim(*error_limits([*first, *second], 3.0))
    size = 5.0 if len(names) <= 60 else 3.0
    handles: list[Artist] = [
        error_line(axes, first, labels[0], BLUE, "s", size, math.isinf),
        error_line(axes, second, labels[1], ORANGE, "o", size, math.isinf),
    ]
    if any(value <= SMALLEST for value in (*first, *second)):
        handles.append(Line2D([], [], linestyle="none", marker="v", color=GREY, label="0: no error"))
    if any(math.isinf(value) for value in (*first, *second)):
        handles.append(Line2D([], [], linestyle="none", marker="x", color=VERMILION, label="nothing finite"))
    label_layers(axes, names)
    axes.set_ylabel("MSE [output units²], lower is better")
    title(figure, heading)
    legend_below(figure, handles)
    return figure
