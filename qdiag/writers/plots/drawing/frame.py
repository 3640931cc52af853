"""What the pictures of a report share: plain axes, a legend below, and a picture for when there is nothing to draw."""

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import NullFormatter

from qdiag.core.measures.measurement import Measurement
from qdiag.reading.words.layers import shorten
from qdiag.writers.plots.drawing.figure import GREY, LIGHT_GREY

_COLUMNS = 6
_CHARACTER_INCHES, _HANDLE_INCHES = 0.072, 0.6
"""What a character of a legend takes, and the sign before the words with the room around both."""


def new_figure(width: float, height: float) -> Figure:
    """Inches; places are found by matplotlib."""
    return Figure(figsize=(width, height), layout="constrained")


def plain(axes: Axes, grid: str = "y") -> Axes:
    """Light grid lines behind the data, along one axis, and no box."""
    axes.grid(axis="both" if grid == "both" else "x" if grid == "x" else "y", color=LIGHT_GREY, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def log_scale(axes: Axes) -> None:
    """Logarithmic upwards, with plain numbers: typesetting powers of ten costs a third of the time of a picture."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def title(figure: Figure, text: str) -> None:
    """Above everything, left; a `$` in a name is a dollar sign."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, parse_math=False)


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int | None = None) -> Legend | None:
    """One legend for all panels, outside of them; none without handles."""
    if not handles:
        return None
    return figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=_columns([str(handle.get_label()) for handle in handles], columns or _COLUMNS, figure.get_figwidth()),
        frameon=False,
        fontsize=9,
    )


def _columns(labels: Sequence[str], most: int, width: float) -> int:
    """As many as stand side by side; each is filled downwards, and as wide as its longest label."""
    for count in range(min(most, len(labels)), 1, -1):
        longest = [max(map(len, column)) for column in _filled(labels, count)]
        if sum(_CHARACTER_INCHES * length + _HANDLE_INCHES for length in longest) <= width:
            return count
    return 1


def _filled(labels: Sequence[str], count: int) -> list[Sequence[str]]:
    """As matplotlib fills columns: those on the left have one more."""
    least, more = divmod(len(labels), count)
    starts = [i * least + min(i, more) for i in range(count + 1)]
    return [labels[a:b] for a, b in pairwise(starts)]


def empty_figure(heading: str, why: str) -> Figure:
    """A picture that says why there is nothing to see."""
    figure = new_figure(9.0, 2.2)
    title(figure, heading)
    figure.text(0.5, 0.4, why, ha="center", va="center", color=GREY, parse_math=False)
    return figure


def short_label(text: str, width: int = 40) -> str:
    """For an axis or a legend; a metric has whatever name its author gave it."""
    return shorten(text, width)


def network_words(measurement: Measurement) -> str:
    """`zoo:mobilenet_v1, tf-uint8`, and a mark when no real input was seen."""
    words = f"{shorten(measurement.model.architecture, 48)}, {measurement.scheme.name}"
    return words + ("   |   DATA-FREE: drawn inputs, no images" if measurement.data.is_data_free else "")
