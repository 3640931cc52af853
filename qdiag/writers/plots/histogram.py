"""Where the values of a layer's output lie, and where its quantizer has its steps and its limits."""

import math

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import PERCENTILES, TensorRange
from qdiag.core.measures.records import OpRecord
from qdiag.reading.words.layers import shorten
from qdiag.writers.plots.drawing.figure import BLUE, LIGHT_GREY, ORANGE, VERMILION
from qdiag.writers.plots.drawing.frame import empty_figure, legend_below, log_scale, new_figure, plain, title

_LOW, _HIGH = (PERCENTILES.index(p) for p in (0.1, 99.9))
_STEPS_DRAWN = 512


def histogram_figure(diagnosis: Diagnosis, layer: str) -> Figure:
    """Counts on a log scale, of float values on the calibration data.

    Below the bars one tick per step of the quantizer, beside them its clipping limits; what lies outside is clipped.

    Raises:
        KeyError: no layer has that name.
    """
    record = diagnosis.measurement.record(layer)
    heading = f"Output values and quantization grid: {shorten(layer, 56)}"
    histogram = record.range.histogram if record.range is not None else None
    if record.range is None or histogram is None or not histogram.total:
        return empty_figure(heading, "no histogram of this output is stored")
    figure = new_figure(9.0, 3.8)
    axes = plain(figure.add_subplot())
    edges = [(histogram.first_bin + i) * histogram.bin_width for i in range(len(histogram.counts) + 1)]
    axes.stairs(histogram.counts, edges, fill=True, color=BLUE, alpha=0.75, baseline=0.5)
    log_scale(axes)
    axes.set_ylim(0.5, 2.5 * max(histogram.counts))
    handles: list[Artist] = [Patch(color=BLUE, alpha=0.75, label="float output, calibration data")]
    quantizer = record.quantizer
    # floats without a list of levels reach so far beyond the values that nothing of it could be seen
    has_grid = quantizer is not None and all(map(math.isfinite, _drawn_bounds(quantizer))) and not quantizer.is_wide
    measured = diagnosis.layer_facts(layer).measured_range
    is_measured = measured is not None and math.isfinite(measured.min) and math.isfinite(measured.max)
    seen = [edges[0], edges[-1]]
    seen += _drawn_bounds(quantizer) if quantizer is not None and has_grid else []
    seen += [measured.min, measured.max] if measured is not None and is_measured else []
    margin = 0.03 * (max(seen) - min(seen)) or 1.0
    low, high = min(seen) - margin, max(seen) + margin
    axes.set_xlim(low, high)
    if quantizer is not None and has_grid:
        handles += _grid(axes, quantizer, low, high)
    if measured is not None and is_measured:
        axes.plot(
            [measured.min, measured.max],
            [0.94, 0.94],
            "|-",
            color=ORANGE,
            markersize=9,
            linewidth=1.4,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
        handles.append(
            Line2D([], [], color=ORANGE, marker="|", markersize=9, label="smallest to largest, measured data")
        )
    axes.xaxis.set_major_locator(MaxNLocator(9))
    axes.set_xlabel("output value")
    axes.set_ylabel("sampled values per bin")
    title(figure, heading + "\n" + _use_words(record, record.range))
    legend_below(figure, handles)
    return figure


def _grid(axes: Axes, quantizer: QuantizerRecord, low: float, high: float) -> list[Artist]:
    for edge, outer in zip(quantizer.clip_bounds, (low, high), strict=True) if quantizer.has_range else ():
        axes.axvspan(min(edge, outer), max(edge, outer), color=LIGHT_GREY, alpha=0.6, linewidth=0, zorder=0)
        axes.axvline(edge, color=VERMILION, linewidth=1.4, linestyle="--")
    steps, what = quantizer.level_count, f"steps of {quantizer.scale:.3g}" if quantizer.scale is not None else "levels"
    every = -(-steps // _STEPS_DRAWN)
    levels = quantizer.values(every)
    axes.plot(  # one broken line: a tenth of the time and size of 256 separate ones
        [x for level in levels for x in (level, level, math.nan)],
        [0.0, 0.045, math.nan] * len(levels),
        color="black",
        linewidth=0.5,
        transform=axes.get_xaxis_transform(),
        zorder=4,
    )
    label = f"{steps} {what}" if every == 1 else f"every {every}th of {steps} steps"
    drawn: list[Artist] = [Line2D([], [], color="black", linestyle="none", marker="|", markersize=8, label=label)]
    if not quantizer.has_range:
        return drawn
    return [
        *drawn,
        Line2D([], [], color=VERMILION, linestyle="--", label="clipping limits"),
        Patch(color=LIGHT_GREY, alpha=0.6, label="clipped"),
    ]


def _drawn_bounds(quantizer: QuantizerRecord) -> tuple[float, float]:
    """Where values are clipped; the outermost levels of a format that clips nothing."""
    return quantizer.clip_bounds if quantizer.has_range else (quantizer.range_min, quantizer.range_max)


def _use_words(record: OpRecord, values: TensorRange) -> str:
    """How much of the grid the bulk of the values uses, and how much is cut off."""
    quantizer = record.quantizer
    if quantizer is None:
        return f"left in float: {record.skip_reason or 'no quantizer'}"
    clipped = f"{100.0 * record.clipped_fraction:.2g} % of the measured values are clipped"
    if not values.percentiles:
        return clipped
    steps = round(quantizer.steps_between(values.percentiles[_LOW], values.percentiles[_HIGH]))
    used = min(steps + 1, quantizer.level_count)
    noun = "steps" if quantizer.scale is not None else "levels"
    return f"99.8 % of the values share {used} of {quantizer.level_count} {noun}; {clipped}"
