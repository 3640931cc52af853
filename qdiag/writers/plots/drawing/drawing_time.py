"""How long the pictures of a report take, from one plain picture that is drawn and timed."""

import time

from matplotlib.figure import Figure

from qdiag.writers.plots.drawing.figure import figure_bytes, settle_layout
from qdiag.writers.plots.pictures import LAYERS_DRAWN

_WHOLE = 8
"""Pictures of the whole network."""
_BY_LAYER = 2
"""Of each layer that is drawn: its channels, and the values at its output."""
_OVER_PLAIN = 1.5
"""Seconds of a picture of a report over those of a plain one, on the mean of 18."""


def drawing_seconds(layer_count: int) -> float:
    """Of all pictures for a network with so many layers, each as PNG and SVG."""
    count = _WHOLE + _BY_LAYER * min(layer_count, LAYERS_DRAWN)
    _draw()  # the first one looks for fonts
    started = time.perf_counter()
    _draw()
    return count * _OVER_PLAIN * (time.perf_counter() - started)


def _draw() -> None:
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(range(64), range(1, 65))
    axes.set_yscale("log")
    settle_layout(figure)
    figure_bytes(figure, "png")
    figure_bytes(figure, "svg")
