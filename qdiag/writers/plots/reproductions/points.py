"""A point for each variant, one figure across and another one up."""

import math

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qdiag.core.reproductions.drawings import Points
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.reading.words.reproductions.sentences import words_of
from qdiag.writers.plots.drawing.figure import BLUE, GREY
from qdiag.writers.plots.drawing.frame import empty_figure, legend_below, new_figure, plain, title


def points_figure(result: Reproduction, drawing: Points) -> Figure:
    """Means with the standard deviation over the seeds, and the published points as hollow squares."""
    words = words_of(result)
    heading = f"{words.title}: {words.drawings[drawing.key]}"
    known = [row for row in drawing.rows if result.cell(row, drawing.x).values and result.cell(row, drawing.y).values]
    if not known:
        return empty_figure(heading, "not measured")
    figure = new_figure(7.0, 4.4)
    axes, is_published = plain(figure.subplots(), "both"), False
    means = [result.cell(row, drawing.x).mean for row in known]
    lowest, highest = min(means), max(means)
    for row in known:
        x, y = result.cell(row, drawing.x), result.cell(row, drawing.y)
        spread = 0.0 if math.isnan(y.spread) else y.spread
        axes.errorbar(x.mean, y.mean, yerr=spread or None, fmt="o", color=BLUE, capsize=3)
        is_right = x.mean > (lowest + highest) / 2.0
        place, side = ((-6, 5), "right") if is_right else ((6, 5), "left")
        axes.annotate(words.rows[row], (x.mean, y.mean), xytext=place, textcoords="offset points", ha=side, fontsize=8)
        if x.published is not None and y.published is not None:
            axes.plot(x.published, y.published, "s", color=GREY, markerfacecolor="none", markersize=7)
            is_published = True
    for name, set_label in ((drawing.x, axes.set_xlabel), (drawing.y, axes.set_ylabel)):
        set_label(f"{words.columns[name].title}, {words.columns[name].unit}")
    axes.margins(0.18)
    handles: list[Artist] = [Line2D([], [], linestyle="none", marker="o", color=BLUE, label="measured here")]
    if is_published:
        label = f"published, {words.published_for}"
        handles.append(Line2D([], [], linestyle="none", marker="s", color=GREY, markerfacecolor="none", label=label))
    title(figure, heading)
    legend_below(figure, handles)
    return figure
