"""How weights and activations are distributed, block by block (arXiv 2212.01593, figures 3 and 7)."""

import math
from collections.abc import Callable, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from qdiag.core.measures.branches import BranchBlock, BranchesReport
from qdiag.core.measures.ranges import TensorRange
from qdiag.writers.plots.branches.gains import COLORS, KIND_WORDS
from qdiag.writers.plots.figure import GREY
from qdiag.writers.plots.frame import empty_figure, legend_below, new_figure, plain, title
from qdiag.writers.plots.layer_axis import figure_width, label_layers
from qdiag.writers.words.layers import shorten

_HALF_WIDTH = 0.45
_LEAST_SHARE = 0.04
"""Of the width, for a bin with few values: a single outlier is what there is to see."""


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
    axes.set_yscale("symlog", linthresh=_linear_part(known), linscale=0.8)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    handles: dict[str, Artist] = {}
    for i, row in enumerate(rows):
        for k, (color, word, seen) in enumerate(row):
            if seen is None or not math.isfinite(seen.max_abs):
                continue
            place = i + (k - (len(row) - 1) / 2.0) * 0.84 / most
            _shape(axes, place, 0.84 / most, seen, color)
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


def _shape(axes: Axes, place: float, width: float, seen: TensorRange, color: str) -> None:
    """Symmetric around `place`: the logarithm of the count of each bin, and a line from minimum to maximum."""
    axes.plot([place, place], [seen.min, seen.max], color=color, linewidth=0.8)
    axes.plot([place, place], [seen.min, seen.max], linestyle="none", marker="_", markersize=5, color=color)
    if seen.histogram is None or not seen.histogram.total:
        return
    bins = seen.histogram
    largest = math.log1p(max(bins.counts))
    lows = [(bins.first_bin + i) * bins.bin_width for i, count in enumerate(bins.counts) if count]
    halves = [_HALF_WIDTH * width * max(math.log1p(c) / largest, _LEAST_SHARE) for c in bins.counts if c]
    inside = [(max(low, seen.min), min(low + bins.bin_width, seen.max)) for low in lows]
    axes.bar(
        [place] * len(lows),
        [high - low for low, high in inside],
        width=[2.0 * half for half in halves],
        bottom=[low for low, _ in inside],
        color=color,
        linewidth=0,
    )


def _linear_part(seen: Sequence[TensorRange]) -> float:
    """The axis is linear up to the median of the largest |values|, where most distributions lie."""
    largest = sorted(tensor.max_abs for tensor in seen if tensor.max_abs > 0.0)
    return largest[len(largest) // 2] if largest else 1.0
