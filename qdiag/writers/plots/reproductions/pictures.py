"""The pictures of an experiment, by the kinds of its drawings."""

from matplotlib.figure import Figure

from qdiag.core.reproductions.drawings import Bars, Drawing, Points
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.writers.plots.reproductions.bars import bars_figure
from qdiag.writers.plots.reproductions.lines import lines_figure
from qdiag.writers.plots.reproductions.points import points_figure


def reproduction_figure(result: Reproduction, drawing: Drawing) -> Figure:
    """One of them."""
    if isinstance(drawing, Bars):
        return bars_figure(result, drawing)
    return points_figure(result, drawing) if isinstance(drawing, Points) else lines_figure(result, drawing)
