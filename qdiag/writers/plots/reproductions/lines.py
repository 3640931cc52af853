"""A line for each variant, over the epochs or over the layers."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from qdiag.core.reproductions.drawings import Lines
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.core.reproductions.seeds import Curve
from qdiag.reading.words.reproductions.sentences import words_of
from qdiag.writers.plots.drawing.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from qdiag.writers.plots.drawing.frame import empty_figure, legend_below, new_figure, plain, title
from qdiag.writers.plots.drawing.layer_axis import figure_width, label_layers

_COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY)


def lines_figure(result: Reproduction, drawing: Lines) -> Figure:
    """The mean over the seeds, and a band from the smallest to the largest."""
    words = words_of(result)
    heading = f"{words.title}: {words.drawings[drawing.key]}"
    curves = [curve for seed in result.seeds for curve in seed.curves if curve.drawing == drawing.key]
    if not curves:
        return empty_figure(heading, "not measured")
    labels = max((curve.labels for curve in curves), key=len)
    figure = new_figure(figure_width(len(labels)) if labels else 7.0, 4.4)
    axes, handles = plain(figure.subplots()), []
    for index, row in enumerate(dict.fromkeys(curve.row for curve in curves)):
        own = [curve for curve in curves if curve.row == row]
        color, values = _COLORS[index % len(_COLORS)], _columns(own)
        places = range(len(values)) if labels else range(1, len(values) + 1)
        means = [sum(column) / len(column) for column in values]
        marker = "o" if labels or len(values) == 1 else ""
        handles += axes.plot(places, means, "-", marker=marker, markersize=3, color=color, label=words.rows[row])
        axes.fill_between(
            places, [min(c) for c in values], [max(c) for c in values], color=color, alpha=0.15, linewidth=0
        )
    if labels:
        label_layers(axes, labels)
    else:
        axes.set_xlabel("epoch")
    title(figure, heading)
    legend_below(figure, handles)
    return figure


def _columns(curves: Sequence[Curve]) -> list[tuple[float, ...]]:
    """The values of all seeds at each place, as far as every seed has one."""
    return list(zip(*(curve.values for curve in curves), strict=False))
