"""The horizontal axis of all plots: layers in graph order, 10 or 300 of them."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from qdiag.reading.words.layer_row import LayerRow
from qdiag.reading.words.layers import drop_common_prefix, shorten
from qdiag.writers.plots.drawing.figure import LIGHT_GREY

_LABELS_AT_MOST = 80
_LABEL_WIDTH = 26
_SHORT_NAME = 12
_CHARACTER_INCHES = 0.072


def figure_width(count: int) -> float:
    """Inches: wide enough for a label per layer up to about 80, then constant."""
    return min(max(9.0, 2.5 + 0.21 * count), 20.0)


def names_height(names: Sequence[str]) -> float:
    """Inches that names below an axis take beyond those of short ones, so that they do not press the axis together."""
    longest = max((len(shorten(name, _LABEL_WIDTH)) for name in drop_common_prefix(names)), default=0)
    return _CHARACTER_INCHES * max(0, longest - _SHORT_NAME)


def feeding(rows: Sequence[LayerRow]) -> list[tuple[int, int]]:
    """Places of two layers, the first of which feeds the second."""
    places = {row.record.name: i for i, row in enumerate(rows)}
    return [(places[name], i) for i, row in enumerate(rows) for name in row.record.inputs if name in places]


def label_layers(axes: Axes, names: Sequence[str], marked: Sequence[int] = ()) -> None:
    """Names under the axis, vertical; with many layers every n-th only, and the marked ones in any case."""
    count = len(names)
    step = -(-count // _LABELS_AT_MOST)
    keep = set(range(0, count, step))
    for index in marked:
        # A neighbour's label would cover the marked one.
        keep -= {i for i in keep if abs(i - index) < step}
        keep.add(index)
    ticks = sorted(keep)
    short = drop_common_prefix(names)
    axes.set_xticks(ticks, [shorten(short[i], _LABEL_WIDTH) for i in ticks])
    size = 8 if count <= 50 else 7
    axes.tick_params(axis="x", labelrotation=90, labelsize=size, length=2)
    for tick, index in zip(axes.get_xticklabels(), ticks, strict=True):
        if index in marked:
            tick.set_fontweight("bold")
    axes.set_xlim(-0.8, count - 0.2)


def float_ground(axes: Axes, rows: Sequence[LayerRow]) -> list[Patch]:
    """A grey ground behind layers left in float, and the handle of its legend; empty without such layers."""
    places = [i for i, row in enumerate(rows) if row.is_float]
    for i in places:
        axes.axvspan(i - 0.5, i + 0.5, color=LIGHT_GREY, alpha=0.6, linewidth=0, zorder=0)
    return [Patch(color=LIGHT_GREY, alpha=0.6, label="left in float")] if places else []
