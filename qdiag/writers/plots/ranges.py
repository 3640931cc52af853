"""Where the values of every weight and output lie: whiskers by layer on an axis logarithmic to both sides of zero."""

import math
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator

from qdiag.core.measures.ranges import PERCENTILES
from qdiag.core.measures.value_ranges.range_record import RangeRecord
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.reading.words.layers import shorten
from qdiag.writers.plots.drawing.figure import BLUE, GREY, ORANGE, VERMILION
from qdiag.writers.plots.drawing.frame import legend_below, new_figure, plain, title
from qdiag.writers.plots.drawing.layer_axis import figure_width, label_layers, names_height

_LOW, _MEDIAN, _HIGH = (PERCENTILES.index(p) for p in (0.1, 50.0, 99.9))


def ranges_figure(report: RangeReport) -> Figure:
    """Weights above, activations below: a thin line from min to max, a thick one from 0.1 % to 99.9 %, the median."""
    groups = {
        role: [r for r in report.records if r.role == role]
        for role in ("weight", "activation")
        if any(r.role == role for r in report.records)
    }
    widest = max((len(records) for records in groups.values()), default=1)
    below = sum(names_height([r.layer for r in records]) for records in groups.values())
    figure = new_figure(figure_width(widest), 0.8 + 4.2 * max(len(groups), 1) + below)
    handles: list[Artist] = []
    for row, (role, records) in enumerate(groups.items(), 1):
        axes = figure.add_subplot(len(groups), 1, row)
        noun, color = ("weights", ORANGE) if role == "weight" else ("outputs", BLUE)
        known = {h.get_label() for h in handles}
        handles += [h for h in _draw(axes, records, noun, color) if h.get_label() not in known]
        axes.set_ylabel(noun)
    marked = "   |   DATA-FREE: drawn inputs, no images" if report.data.is_data_free else ""
    title(figure, f"Ranges of {shorten(report.model.architecture, 48)}, float{marked}")
    legend_below(figure, handles, 3)
    return figure


def _draw(axes: Axes, records: Sequence[RangeRecord], noun: str, color: str) -> list[Artist]:
    places = [i for i, r in enumerate(records) if math.isfinite(r.tensor.min) and math.isfinite(r.tensor.max)]
    tensors = [records[i].tensor for i in places]
    linear = _linear_part(tensors_magnitudes=[t.max_abs for t in tensors])
    axes.set_yscale("symlog", linthresh=linear, linscale=0.6)
    if max((t.max_abs for t in tensors), default=0.0) < 200.0 * linear:  # few decades: room for steps between them
        axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10.0, linthresh=linear, subs=(1.0, 2.0, 5.0)))
    thick = 5.0 if len(records) <= 60 else 2.0
    inner = [(i, t.percentiles) for i, t in zip(places, tensors, strict=True) if t.percentiles]
    bare = not inner  # nothing but the ends is known: the line itself is what there is to see
    whisker = axes.vlines(
        places,
        [t.min for t in tensors],
        [t.max for t in tensors],
        color=color if bare else GREY,
        linewidth=0.6 * thick if bare else 1.0,
        label=f"{noun}, min to max" if bare else "min to max",
    )
    handles: list[Artist] = [whisker]
    if inner:
        box = axes.vlines(
            [i for i, _ in inner],
            [p[_LOW] for _, p in inner],
            [p[_HIGH] for _, p in inner],
            color=color,
            linewidth=thick,
            label=f"{noun}, 0.1 % to 99.9 %",
        )
        (median,) = axes.plot(
            [i for i, _ in inner],
            [p[_MEDIAN] for _, p in inner],
            "o",
            color="white",
            markeredgecolor="black",
            markersize=min(thick, 4.0),
            label="median",
        )
        handles += [median, box]
    spreads = [(i, m) for i in places if (m := _median_channel(records[i])) is not None]
    if spreads:
        (ticks,) = axes.plot(
            [i for i, _ in spreads] * 2,
            [m for _, m in spreads] + [-m for _, m in spreads],
            "_",
            color="black",
            markersize=11 if len(records) <= 60 else 3,
            markeredgewidth=1.6,
            label="± largest value of the median channel",
        )
        handles.append(ticks)
    axes.axhline(0.0, color="black", linewidth=0.6, zorder=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    plain(axes)
    absent = [i for i in range(len(records)) if i not in places]
    if absent:  # nothing finite to draw
        if not places:
            axes.set_ylim(-1.0, 1.0)
        (cross,) = axes.plot(
            absent, [0.0] * len(absent), "x", color=VERMILION, markersize=7, label="minimum or maximum not finite"
        )
        handles.append(cross)
    label_layers(axes, [r.layer for r in records])
    return handles


def _median_channel(record: RangeRecord) -> float | None:
    """Largest magnitude of the median channel of a weight: far inside the range where a few channels set it."""
    if record.role != "weight" or record.channels is None:
        return None
    widths = sorted(
        max(abs(low), abs(high)) for low, high in zip(record.channels.min, record.channels.max, strict=True)
    )
    return widths[len(widths) // 2]


def _linear_part(tensors_magnitudes: Sequence[float]) -> float:
    """A decade below the smallest largest value, so that no whole tensor hides in the linear part around zero."""
    positive = sorted(m for m in tensors_magnitudes if m > 0.0)
    return max(10.0 ** math.floor(math.log10(positive[0])) / 10.0, 10.0**-6 * positive[-1]) if positive else 1.0
