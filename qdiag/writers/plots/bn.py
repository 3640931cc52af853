"""Gain per channel for each BatchNorm, on a log scale: the picture of arXiv 1803.08607, figure 3, for all layers."""

import math
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord
from qdiag.reading.words.bn import cost_sentence, costliest
from qdiag.reading.words.layers import shorten
from qdiag.writers.plots.drawing.figure import BLUE, GREY, LIGHT_GREY, ORANGE, VERMILION
from qdiag.writers.plots.drawing.frame import legend_below, log_scale, new_figure, plain, title
from qdiag.writers.plots.drawing.layer_axis import figure_width, label_layers, names_height

_GAIN = "gain  |\N{GREEK SMALL LETTER GAMMA}| / √(\N{GREEK SMALL LETTER SIGMA}² + ε)"
_LEAST_COST_BITS = 1.0
"""From here on the widest channels are named in the title."""


def bn_figure(audit: BatchNormAudit) -> Figure:
    """Above: gains, one column per BatchNorm, one dot per channel. Below: largest folded weights in the same columns.

    Dead channels and gain outliers are marked in both; only where they stand out below do they set a range.
    """
    records = audit.records
    has_layers = any(record.folded_max_abs for record in records)
    panels = 2 if has_layers else 1
    figure = new_figure(figure_width(len(records)), 1.4 + 3.4 * panels + names_height([r.label for r in records]))
    if not records:
        figure.text(0.5, 0.5, "no BatchNorm with running statistics", ha="center", color=GREY)
        return figure
    axes = [figure.add_subplot(panels, 1, i + 1) for i in range(panels)]
    handles = _draw(axes[0], records, [record.gain for record in records], _GAIN)
    if has_layers:
        _draw(axes[1], records, [record.folded_max_abs for record in records], "largest |folded weight|")
        axes[0].tick_params(axis="x", labelbottom=False)
    worst = costliest(audit)
    heading = f"BatchNorm of {shorten(audit.model.architecture, 48)}"
    if worst is not None and worst.range_cost is not None and worst.range_cost.cost_bits >= _LEAST_COST_BITS:
        heading += f"\n{cost_sentence(worst)}"
    title(figure, heading)
    legend = legend_below(figure, handles, len(handles))
    for handle in legend.legend_handles if legend is not None else ():
        if isinstance(handle, PathCollection):
            handle.set_sizes([24.0])  # dots of deep networks are too small to be told apart
    return figure


def _draw(
    axes: Axes, records: Sequence[BatchNormRecord], columns: Sequence[tuple[float, ...]], what: str
) -> list[Artist]:
    floor = _floor(records, columns)
    live: list[tuple[float, float]] = []
    outliers: list[tuple[float, float]] = []
    dead: list[tuple[float, float]] = []
    odd: list[float] = []
    medians: list[tuple[int, float]] = []
    for i, (record, values) in enumerate(zip(records, columns, strict=True)):
        if not values:
            continue
        is_dead, is_outlier = set(record.dead_channels), {found.channel for found in record.outliers}
        magnitudes = [abs(value) for value in values]
        for c, magnitude in enumerate(magnitudes):
            if not math.isfinite(magnitude):
                odd.append(i + _offset(c, len(values)))
                continue
            place = (i + _offset(c, len(values)), max(magnitude, floor))
            (dead if c in is_dead else outliers if c in is_outlier else live).append(place)
        finite = [(c, m) for c, m in enumerate(magnitudes) if math.isfinite(m)]
        alive = sorted(m for c, m in finite if c not in is_dead) or sorted(m for _, m in finite)
        if alive:
            medians.append((i, max(alive[len(alive) // 2], floor)))
    log_scale(axes)
    handles: list[Artist] = []
    size = 6.0 if len(records) <= 40 else 3.0
    for points, color, marker, scale, label in (
        (live, BLUE, "o", 1.0, "live channel"),
        (outliers, ORANGE, "D", 5.0, "live channel, gain outlier"),
        (dead, VERMILION, "x", 4.0, "dead channel"),
    ):
        if points:
            handles.append(
                axes.scatter(
                    [x for x, _ in points],
                    [y for _, y in points],
                    s=size * scale,
                    c=color,
                    marker=marker,
                    linewidths=1.0 if marker == "x" else 0.0,
                    alpha=0.45 if marker == "o" else 0.95,
                    label=label,
                    zorder=2 if marker == "o" else 3,
                )
            )
    if odd:
        (cross,) = axes.plot(
            odd,
            [0.97] * len(odd),
            "+",
            color=VERMILION,
            markersize=8,
            label="NaN or Inf",
            linestyle="none",
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
        handles.append(cross)
    if medians:
        handles.append(
            axes.hlines(
                [y for _, y in medians],
                [i - 0.4 for i, _ in medians],
                [i + 0.4 for i, _ in medians],
                color="black",
                linewidth=1.3,
                label="median of the live channels",
                zorder=4,
            )
        )
    if any(abs(value) < floor for values in columns for value in values):
        axes.axhline(floor, color=GREY, linewidth=0.6, linestyle=":", zorder=0)
        axes.annotate(
            "0 or below",
            (0.0, floor),
            (4, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            color=GREY,
            fontsize=8,
        )
    for i in range(1, len(records)):
        axes.axvline(i - 0.5, color=LIGHT_GREY, linewidth=0.4, zorder=0)
    low, high = axes.get_ylim()
    if high < 10.0 * low:  # nearly equal values: an axis of less than a decade would look like noise
        centre = math.sqrt(low * high)
        axes.set_ylim(centre / math.sqrt(10.0), centre * math.sqrt(10.0))
    absent = [i for i, values in enumerate(columns) if not values]
    for i in absent:
        axes.text(
            i,
            0.5,
            "not known",
            transform=axes.get_xaxis_transform(),
            rotation=90,
            color=GREY,
            fontsize=8,
            ha="center",
            va="center",
        )
    plain(axes).set_ylabel(what)
    label_layers(axes, [record.label for record in records], _marked(records))
    return handles


def _marked(records: Sequence[BatchNormRecord]) -> list[int]:
    """The BatchNorms with a dead channel that sets the range: their names stay however many there are."""
    return [i for i, record in enumerate(records) if any(dead.sets_range for dead in record.dead)]


def _offset(channel: int, channels: int) -> float:
    """Channels side by side within their column, in order."""
    return 0.8 * ((channel + 0.5) / channels - 0.5)


def _floor(records: Sequence[BatchNormRecord], columns: Sequence[tuple[float, ...]]) -> float:
    """Where zeros, and values at least ten times below every live one, are drawn: dead channels fold down to 1e-40."""
    live = sorted(
        abs(values[c])
        for record, values in zip(records, columns, strict=True)
        for c in record.live_channels
        if c < len(values) and math.isfinite(values[c])
    )
    positive = [value for value in live if value > 0.0]
    if not positive:
        return 1e-3
    # The lowest live value unless it is an outlier itself.
    low = max(positive[0], positive[len(positive) // 2] * 1e-4)
    return float(10.0 ** math.floor(math.log10(low) - 1.0))
