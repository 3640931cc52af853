"""Squared errors by layer on a log scale, which has no place for zero and for what is not finite."""

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from qdiag.writers.plots.drawing.figure import VERMILION

SMALLEST = 1e-30
"""Errors up to this count as none."""


def error_limits(values: Sequence[float], above: float) -> tuple[float, float]:
    """Ends of the axis: a third of the smallest error, and so many times the largest."""
    positive = [value for value in values if math.isfinite(value) and value > SMALLEST]
    return (min(positive) / 3.0, max(positive) * above) if positive else (1e-3, 1.0)


def error_line(
    axes: Axes,
    values: Sequence[float],
    label: str,
    color: str,
    marker: str,
    size: float,
    is_odd: Callable[[float], bool],
    edges: Sequence[tuple[int, int]] | None = None,
) -> Line2D:
    """One line, broken where there is nothing to draw; no error is an arrow at the lower edge, and `is_odd` a cross.

    Args:
        edges: between which points lines are drawn; None: between neighbours.
    """
    drawn = [value if math.isfinite(value) and value > SMALLEST else math.nan for value in values]
    joined = "-" if edges is None else "none"
    (line,) = axes.plot(
        drawn, linestyle=joined, color=color, label=label, linewidth=1.4, marker=marker, markersize=size
    )
    if edges:
        x = [place for a, b in edges for place in (a, b, math.nan)]
        y = [height for a, b in edges for height in (drawn[a], drawn[b], math.nan)]
        axes.plot(x, y, "-", color=color, linewidth=1.4)
        line = Line2D([], [], color=color, linewidth=1.4, marker=marker, markersize=size, label=label)
    floor = axes.get_ylim()[0]
    none = [i for i, value in enumerate(values) if value <= SMALLEST]
    odd = [i for i, value in enumerate(values) if is_odd(value)]
    for places, sign, tint in ((none, "v", color), (odd, "x", VERMILION)):
        if places:
            axes.plot(places, [floor] * len(places), sign, color=tint, markersize=8, clip_on=False, zorder=5)
    return line
