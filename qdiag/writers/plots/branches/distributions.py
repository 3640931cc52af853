"""How weights and activations are distributed, block by block (arXiv 2212.01593, figures 3 and 7)."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from qdiag.core.measures.branches import BranchBlock, BranchesReport
from qdiag.core.measures.ranges import TensorRange
from qdiag.reading.words.layers import shorten
from qdiag.writers.plots.branches.gains import COLORS, KIND_WORDS
from qdiag.writers.plots.drawing.figure import GREY
from qdiag.writers.plots.drawing.frame import empty_figure, legend_below, new_figure, plain, title
from qdiag.writers.plots.drawing.layer_axis import figure_width, label_layers

_HALF_WIDTH = 0.45
_LEAST_SHARE = 0.04
"""Of the width, for a step with few values: a single outlier is what there is to see."""
_STEPS = 16
"""Of the axis, in its linear part on each side of zero, and for every factor of e outside of it."""


def weights_figure(report: BranchesReport) -> Figure:
    """What each branch adds to the fused weight, and the fused weight."""
    return _figure(
        f"Weights by branch, and fused: {shorten(report.model.architecture, 48)}",
        [block for block in report.blocks if block.fusion is not None],
        lambda block: [(COLORS[b.kind], KIND_WORDS[b.kind], b.weight) for b in block.branches if b.weight is not None],
        lambda block: block.fusion.weight if block.fusion is not None else None,
        "fused",
        "weight",
    )


def activations_figure(report: BranchesReport) -> Figure:
    """The output of each branch, and of the block behind its sum; values of the float network."""
    marked = "   |   DATA-FREE: drawn inputs, no images" if report.before.data.is_data_free else ""
    return _figure(
        f"Outputs by branch, and their sum: {shorten(report.model.architecture, 48)}{marked}",
        [block for block in report.blocks if block.output is not None],
        lambda block: [
            (COLORS[b.kind], KIND_WORDS[b.kind], b.activations.range)
            for b in block.branches
            if b.activations is not None
        ],
        lambda block: block.output.range if block.output is not None else None,
        "block",
        "output",
    )


def _figure(
    heading: str,
    blocks: Sequence[BranchBlock],
    parts: Callable[[BranchBlock], list[tuple[str, str, TensorRange]]],
    whole: Callable[[BranchBlock], TensorRange | None],
    whole_word: str,
    unit: str,
) -> Figure:
    """Of every block a shape per branch and a grey one for what they make together; widths are on a log scale."""
    if not blocks:
        return empty_figure(heading, "nothing is known about any block")
    rows = [[*parts(block), (GREY, whole_word, whole(block))] for block in blocks]
    known = [seen for row in rows for _, _, seen in row if seen is not None and math.isfinite(seen.max_abs)]
    most = max(len(row) for row in rows)
    figure = new_figure(figure_width(most * len(blocks)), 5.0)
    axes = plain(figure.add_subplot())
    linear = _linear_part(known)
    axes.set_yscale("symlog", linthresh=linear, linscale=0.8)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    handles: dict[str, Artist] = {}
    for i, row in enumerate(rows):
        for k, (color, word, seen) in enumerate(row):
            if seen is None or not math.isfinite(seen.max_abs):
                continue
            place = i + (k - (len(row) - 1) / 2.0) * 0.84 / most
            _shape(axes, place, 0.84 / most, seen, color, linear)
            handles.setdefault(word, Patch(color=color, label=word))
    low, high = min((seen.min for seen in known), default=-1.0), max((seen.max for seen in known), default=1.0)
    axes.set_ylim(min(1.3 * low, 0.0), max(1.3 * high, 0.0) if high > 0.0 or low < 0.0 else 1.0)
    axes.axhline(0.0, color="black", linewidth=0.6, zorder=0)
    label_layers(axes, [block.name for block in blocks])
    axes.set_ylabel(unit)
    title(figure, heading)
    ordered = sorted(handles, key=lambda word: word == whole_word)
    legend_below(figure, [handles[word] for word in ordered])
    return figure


def _shape(axes: Axes, place: float, width: float, seen: TensorRange, color: str, linear: float) -> None:
    """Symmetric around `place`: the logarithm of how many values there are, and a line from minimum to maximum."""
    axes.plot([place, place], [seen.min, seen.max], color=color, linewidth=0.8)
    axes.plot([place, place], [seen.min, seen.max], linestyle="none", marker="_", markersize=5, color=color)
    counts = _counts(seen, linear)
    if not counts:
        return
    largest = math.log1p(max(counts.values()))
    steps = range(min(counts), max(counts) + 2)
    halves = [_half_width(counts.get(step, 0), largest) * width for step in steps]
    heights = [min(max(_height(step, linear), seen.min), seen.max) for step in steps]
    left, right = [place - half for half in halves], [place + half for half in halves]
    axes.fill_betweenx(heights, left, right, step="post", color=color, linewidth=0)


def _half_width(count: int, largest: float) -> float:
    return _HALF_WIDTH * max(math.log1p(count) / largest, _LEAST_SHARE) if count else 0.0


def _counts(seen: TensorRange, linear: float) -> dict[int, int]:
    """Values per step of the axis: histograms have bins far finer than what is drawn, or few and coarse ones."""
    counts: Counter[int] = Counter()
    if seen.histogram is not None:
        for i, count in enumerate(seen.histogram.counts, seen.histogram.first_bin):
            if not count:
                continue
            first, last = (_step((i + end) * seen.histogram.bin_width, linear) for end in (0.0, 1.0))
            for step in range(first, max(last, first + 1)):
                counts[step] += max(1, count // max(last - first, 1))
    return counts


def _step(value: float, linear: float) -> int:
    """Steps are even in the linear part of the axis, and of one ratio outside of it."""
    size = abs(value) / linear
    place = size if size <= 1.0 else 1.0 + math.log(size)
    return math.floor(math.copysign(place * _STEPS, value))


def _height(step: int, linear: float) -> float:
    """The lower end of a step: the inverse of `_step`."""
    place = abs(step) / _STEPS
    return math.copysign(linear * (place if place <= 1.0 else math.exp(place - 1.0)), step)


def _linear_part(seen: Sequence[TensorRange]) -> float:
    """The axis is linear up to the median of the largest |values|, where most distributions lie."""
    largest = sorted(tensor.max_abs for tensor in seen if tensor.max_abs > 0.0)
    return largest[len(largest) // 2] if largest else 1.0
