"""Range of a layer's weight by output channel: who sets the shared scale, and who is left with a step or two."""

import math
from statistics import median_high

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullLocator

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.facts import WeightFacts
from qdiag.reading.words.layers import shorten
from qdiag.writers.plots.drawing.figure import BLUE, GREY, SKY, VERMILION
from qdiag.writers.plots.drawing.frame import empty_figure, legend_below, new_figure, plain, title

_LOG_FROM = 20.0
"""Widest over median channel from which on the axis is logarithmic to both sides of zero."""
_TICKS_AT_MOST = 6
"""On each side of zero."""


def channels_figure(diagnosis: Diagnosis, layer: str) -> Figure:
    """A whisker from smallest to largest weight per channel, channels of findings in another colour.

    With one quantizer per tensor, a ground shows the values nearer to zero than half a step, which become 0.

    Raises:
        KeyError: no layer has that name.
    """
    weight = diagnosis.layer_facts(layer).weight
    heading = f"Weight range by output channel: {shorten(layer, 60)}"
    places = [c for c in range(len(weight.channel_min)) if _is_finite(weight, c)] if weight else []
    if weight is None or not places:
        return empty_figure(heading, "no finite weights")
    count = len(weight.channel_min)
    figure = new_figure(9.0, 3.8)
    axes = plain(figure.add_subplot())
    marked = finding_channels(diagnosis, layer)
    width = max(0.5, min(5.0, 420.0 / count))
    handles: list[Artist] = []
    for group, color, label in (
        ([c for c in places if c not in marked], BLUE, "channel, smallest to largest weight"),
        ([c for c in places if c in marked], VERMILION, "channel with a finding"),
    ):
        if group:
            lows, highs = [weight.channel_min[c] for c in group], [weight.channel_max[c] for c in group]
            axes.vlines(group, lows, highs, color=color, linewidth=width)
            handles.append(Line2D([], [], color=color, linewidth=3.0, label=label))
    odd = [c for c in range(count) if c not in set(places)]
    if odd:
        axes.plot(odd, [0.0] * len(odd), "x", color=GREY, markersize=7, zorder=4)
        handles.append(Line2D([], [], linestyle="none", marker="x", color=GREY, label="not finite"))
    widest = max(weight.channel_max_abs[c] for c in places)
    others = [c for c in places if c not in marked]
    median = median_high(weight.channel_max_abs[c] for c in others or places)
    record = diagnosis.measurement.record(layer).weight
    if record is not None and record.quantizer is not None and record.granularity == "per_tensor" and not odd:
        step, bound = record.quantizer.step_at(0.0), record.quantizer.zero_bound
        axes.axhspan(-bound, bound, color=SKY, alpha=0.5, linewidth=0, zorder=0)
        label = f"rounds to 0 (step {step:.2g})" if bound > 0.0 else f"signs, {step:.2g} apart"
        handles.append(Patch(color=SKY, alpha=0.5, label=label))
    if median > 0.0 and widest / median > _LOG_FROM:
        decade = math.floor(math.log10(median / 10.0))
        axes.set_yscale("symlog", linthresh=10.0**decade, linscale=1.0)
        ends = min(weight.channel_min[c] for c in places), max(weight.channel_max[c] for c in places)
        axes.set_yticks(_ticks(decade, *ends))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axhline(0.0, color="black", linewidth=0.6, zorder=1)
    axes.set_xlim(-0.8, count - 0.2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("output channel")
    axes.set_ylabel("weight, BatchNorm folded" if diagnosis.measurement.capture.folded_batchnorms else "weight")
    if median > 0.0:
        whom = "the median channel without a finding" if others and marked else "the median channel"
        heading += f"\nthe widest reaches {widest / median:.3g} x as far as {whom}"
    title(figure, heading)
    legend_below(figure, handles)
    return figure


def _ticks(decade: int, low: float, high: float) -> list[float]:
    """Zero, and powers of ten on both sides of it, none nearer to zero than the linear part reaches."""
    last = math.floor(math.log10(max(-low, high)))
    every = -(-(last - decade + 1) // _TICKS_AT_MOST)
    powers = [10.0**k for k in range(decade, last + 1, every)]
    return [*(-x for x in reversed(powers) if -x >= low), 0.0, *(x for x in powers if x <= high)]


def finding_channels(diagnosis: Diagnosis, layer: str) -> set[int]:
    """Channels of the layer that any finding about weights or normalization names."""
    return {
        channel
        for finding in diagnosis.ranking.findings
        if finding.code[:3] in ("QD1", "QD3")
        for site in finding.sites
        if site.layer == layer
        for channel in site.channels
    }


def _is_finite(weight: WeightFacts, channel: int) -> bool:
    return math.isfinite(weight.channel_min[channel]) and math.isfinite(weight.channel_max[channel])
