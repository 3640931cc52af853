"""The gain of every BatchNorm on a branch, channel by channel and block by block (arXiv 2212.01593, figure 4)."""

import math
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qdiag.core.measures.branches import BranchBlock, BranchesReport, BranchKind
from qdiag.reading.words.layers import shorten
from qdiag.writers.plots.drawing.figure import BLUE, GREEN, ORANGE, PURPLE, VERMILION
from qdiag.writers.plots.drawing.frame import empty_figure, legend_below, log_scale, new_figure, plain, title
from qdiag.writers.plots.drawing.layer_axis import figure_width, label_layers

COLORS: dict[BranchKind, str] = {
    "kxk": BLUE,
    "1x1": ORANGE,
    "identity": VERMILION,
    "avg_pool": GREEN,
    "sequence": PURPLE,
}
KIND_WORDS: dict[BranchKind, str] = {
    "kxk": "k x k",
    "1x1": "1 x 1",
    "identity": "identity",
    "avg_pool": "average pooling",
    "sequence": "several in a row",
}
_SMALLEST = 1e-12
_GAIN = "|alpha| = |gamma| / sqrt(variance + eps)"


def gains_figure(report: BranchesReport) -> Figure:
    """One column per block, one dot per channel, one colour per kind of branch; branches stand beside each other."""
    heading = f"Gain of the BatchNorms by branch: {shorten(report.model.architecture, 48)}"
    blocks = [block for block in report.blocks if any(branch.norm is not None for branch in block.branches)]
    if not blocks:
        return empty_figure(heading, "no branch has a BatchNorm")
    figure = new_figure(figure_width(2 * len(blocks)), 4.8)
    axes = plain(figure.add_subplot())
    log_scale(axes)
    kinds: list[BranchKind] = [kind for kind in KIND_WORDS if any(_of_kind(block, kind) for block in blocks)]
    handles: list[Artist] = [_draw(axes, blocks, kind, _offset(i, len(kinds))) for i, kind in enumerate(kinds)]
    label_layers(axes, [block.name for block in blocks])
    axes.set_ylabel(_GAIN)
    title(figure, heading)
    legend_below(figure, handles)
    return figure


def _of_kind(block: BranchBlock, kind: BranchKind) -> list[float]:
    norms = [branch.norm for branch in block.branches if branch.kind == kind]
    return [abs(gain) for norm in norms if norm is not None for gain in norm.gain]


def _draw(axes: Axes, blocks: Sequence[BranchBlock], kind: BranchKind, offset: float) -> Line2D:
    columns = [_of_kind(block, kind) for block in blocks]
    x = [i + offset for i, column in enumerate(columns) for _ in column]
    y = [value if math.isfinite(value) and value > _SMALLEST else math.nan for column in columns for value in column]
    size = 4.0 if len(blocks) <= 30 else 2.0
    (dots,) = axes.plot(
        x, y, linestyle="none", marker="o", markersize=size, color=COLORS[kind], alpha=0.6, label=KIND_WORDS[kind]
    )
    return dots


def _offset(index: int, count: int) -> float:
    return (index - (count - 1) / 2.0) * 0.6 / max(count - 1, 1) if count > 1 else 0.0
