"""A range that is stored in the network lags behind the values that it is for.

What it means:
    The range was observed, and the weights changed afterwards: in training, while the observer was off; or a quantized
    file was made from other weights or data. What lies beyond the range is clipped; where it is far too wide, levels
    are wasted. The same happens at the output of a layer whose weights or inputs have changed since then.

How it is computed:
    These are measured on the ranges that the network or a quantized file stores, and that are used here:

    stored_overshoot [%]: how far the 99th percentile of the measured values lies above the range, or the 1st below it,
        in percent of the range
    stored_used_range [%]: maximum - minimum of the measured values, in percent of the range, both widened to hold 0
    weight_overshoot [%]: how far the largest |weight| lies beyond the range, in percent of the largest value that it
        holds, BatchNorm folded; per channel where there is a range for each, and the worst channel counts
    weight_sqnr [dB]: SQNR with weights and bias quantized alone
    weight_used_range [%]: the largest |weight|, in percent of the same; of channels that carry anything

Thresholds:
    It is reported where the overshoot is at least 20 %, of 0.25 % of the values or more by a 95 % score interval, or at
    most 50 % is used (one bit), by 381 values or more, so that at most 1 % lie outside. At weights, weight_sqnr also
    has to be below 28 dB, since a learned step clips the largest on purpose. No output is reported on drawn inputs.

What helps:
    Pass over training data with the observers on before saving. Without training, calibrate these ranges anew.

Sources:
    Jacob et al., arXiv 1712.05877, section 3.1; Nagel et al., arXiv 2106.08295, section 4.
"""

import math
from collections.abc import Iterator

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.counts import share_beyond, wilson_interval
from qdiag.core.measures.deployed.file import ranges_in
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.value_ranges.stored_range import of_layer
from qdiag.core.scheme import TensorScheme
from qdiag.detectors.base import LOCAL_HARM_DB, DetectionContext, finding, has_own_quantizer, weight_sqnr_db

CODE = "QD506"
REPAIRS: tuple[str, ...] = ("cover_weights", "cover_range", "clip_weights")

OVERSHOOT_PERCENT = 20.0
USED_PERCENT = 50.0
BEYOND_PERCENT = 0.25
OUTSIDE_PERCENT = 1.0


def find(context: DetectionContext) -> Finding | None:
    """Layers whose weight or output does not fit the range that the network stores for it."""
    sites = []
    for record, facts in context.layers:
        stored = of_layer(context.measurement.capture.stored_ranges, record.name)
        used = {one.kind for one in stored if one.outcome == "used" and not one.observes}
        kinds = ranges_in(context.measurement.deployed, record.name) | used
        channels, evidence = _of_weight(context, record, facts) if "weight" in kinds else ((), ())
        if "output" in kinds and not context.measurement.data.is_data_free:
            own = _of_output(record, facts)
            channels, evidence = (() if own else channels), (*evidence, *own)
        if evidence:
            sites.append(FindingSite(record.name, channels, evidence))
    of_weights = {e.name.startswith("weight_") for site in sites for e in site.evidence}
    return finding(CODE, sites, tuple(name for name in REPAIRS if name.endswith("weights") in of_weights))


def _of_weight(
    context: DetectionContext, record: OpRecord, facts: LayerFacts
) -> tuple[tuple[int, ...], tuple[Evidence, ...]]:
    if facts.weight is None or record.weight is None or not weight_sqnr_db(record) < LOCAL_HARM_DB:
        return (), ()
    widths, scheme = facts.weight.channel_max_abs, context.measurement.scheme.weights_of(record.name)
    used = {
        channel: 100.0 * width / bound
        for channel, width, bound in _with_bounds(context.live_channels(record, widths), widths, scheme)
    }
    limit = 100.0 + OVERSHOOT_PERCENT
    beyond = tuple(c for c, percent in used.items() if percent >= limit)
    wasting = tuple(c for c, percent in used.items() if percent <= USED_PERCENT)
    if not beyond and not wasting:
        return (), ()
    evidence = (
        Evidence("weight_overshoot", max(*used.values(), 100.0) - 100.0, "%", OVERSHOOT_PERCENT),
        Evidence("weight_used_range", min(used.values()), "%", USED_PERCENT),
        Evidence("weight_sqnr", weight_sqnr_db(record), "dB", LOCAL_HARM_DB),
    )
    return tuple(sorted({*beyond, *wasting})) if scheme.channel_ranges is not None else (), evidence


def _with_bounds(
    live: list[int], widths: tuple[float, ...], scheme: TensorScheme
) -> Iterator[tuple[int, float, float]]:
    """Channel, its largest |weight|, and the largest value of its range; the widest one alone under one range."""
    if scheme.range is not None and live:
        live = [max(live, key=lambda c: widths[c])]
    for channel in live:
        ends = scheme.range if scheme.channel_ranges is None else scheme.channel_ranges[channel]
        if ends is not None:
            yield channel, widths[channel], max(abs(ends[0]), abs(ends[1]))


def _of_output(record: OpRecord, facts: LayerFacts) -> tuple[Evidence, ...]:
    measured, quantizer = facts.measured_range, record.quantizer
    if measured is None or quantizer is None or not has_own_quantizer(record):
        return ()
    low, high = quantizer.range_min, quantizer.range_max
    overshoot = measured.overshoot_percent(low, high)
    if math.isnan(overshoot):
        return ()
    used = 100.0 * (max(measured.max, 0.0) - min(measured.min, 0.0)) / (high - low)
    lags = overshoot >= OVERSHOOT_PERCENT and share_beyond(measured, low, high, OVERSHOOT_PERCENT).low >= BEYOND_PERCENT
    if not lags and (used > USED_PERCENT or wilson_interval(0, measured.count).high > OUTSIDE_PERCENT):
        return ()
    return (
        Evidence("stored_overshoot", overshoot, "%", OVERSHOOT_PERCENT),
        Evidence("stored_used_range", used, "%", USED_PERCENT),
        Evidence("clipped_fraction", 100.0 * record.clipped_fraction, "%"),
    )
