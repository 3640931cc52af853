"""A group of bars for each variant, one for each figure."""

import math

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from qdiag.core.reproductions.drawings import Bars
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.reading.words.reproductions.sentences import words_of
from qdiag.writers.plots.drawing.figure import BLUE, GREEN, ORANGE, PURPLE, SKY
from qdiag.writers.plots.drawing.frame import empty_figure, legend_below, new_figure, plain, title

_COLORS = (BLUE, ORANGE, GREEN, SKY, PURPLE)
_WIDTH = 0.8


def bars_figure(result: Reproduction, drawing: Bars) -> Figure:
    """Means with the standard deviation over the seeds; a black mark where a figure was published."""
    words = words_of(result)
    heading = f"{words.title}: {words.drawings[drawing.key]}"
    rows = [row for row in drawing.rows if any(result.cell(row, column).values for column in drawing.columns)]
    if not rows:
        return empty_figure(heading, "not measured")
    figure = new_figure(max(5.0, 1.6 + 0.75 * len(rows) * max(1.0, 0.6 * len(drawing.columns))), 4.4)
    axes = plain(figure.subplots())
    step, is_published = _WIDTH / len(drawing.columns), False
    for index, column in enumerate(drawing.columns):
        for place, row in enumerate(rows):
            cell = result.cell(row, column)
            x = place - _WIDTH / 2 + (index + 0.5) * step
            if cell.values:
                spread = 0.0 if math.isnan(cell.spread) else cell.spread
                axes.bar(x, cell.mean, step * 0.9, yerr=spread or None, color=_COLORS[index % 5], capsize=2)
            if cell.published is not None:
                axes.plot(x, cell.published, "k_", markersize=14, markeredgewidth=1.6)
                is_published = True
    axes.set_xticks(range(len(rows)), [words.rows[row] for row in rows], rotation=30, ha="right", fontsize=8)
    first = words.columns[drawing.columns[0]]
    axes.set_ylabel(f"{first.title}, {first.unit}" if len(drawing.columns) == 1 else first.unit)
    handles: list[Artist] = []
    if len(drawing.columns) > 1:
        handles += [Patch(color=_COLORS[i % 5], label=words.columns[c].title) for i, c in enumerate(drawing.columns)]
    if is_published:
        label = f"published, {words.published_for}"
        handles.append(Line2D([], [], linestyle="none", color="black", marker="_", markersize=12, label=label))
    title(figure, heading)
    legend_below(figure, handles)
    return figure
