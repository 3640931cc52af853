"""The data that set the ranges and the data that are measured differ in range.

What it means:
    Ranges were chosen on images that are brighter, flatter, differently normalized or simply too few. What lies beyond
    them is clipped; where they are far too wide, levels are wasted. The float network may suffer from the same mistake:
    look at its accuracy first.

How it is computed:
    These are measured on the raw ranges of both data sets, whatever the calibrator made of them, widened to hold 0:

    overshoot [%]: how far the 99th percentile of the measured values lies above the maximum of the calibration data, or
        the 1st below the minimum, in percent of maximum - minimum
    used_range [%]: maximum - minimum of the measured values, over the 99.9th - 0.1th percentile of the calibration data

Thresholds:
    It is reported where the overshoot is at least 20 %, so that one measured value in a hundred is clipped by a fifth
    of the range or more, or where at most 50 % of the range is used (one bit). Of two samples of the same images the
    overshoot is below 2 %, because percentiles stay inside extremes. Layers with fewer than 1,000 values in either data
    set are left out: 1 % of them are fewer than 10 values. So are layers whose range is given, by the scheme or by the
    network: no calibration data chose it.

What helps:
    Prepare both in the same way, and calibrate on 64 to 1,000 varied samples. Ranges taken from the measured data show
    how much accuracy can be recovered.

Sources:
    Nagel et al., arXiv 2106.08295, section 3; pytorch issue 45185, Xilinx/AI-Model-Zoo issue 4 (64 to 1.4 %).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.ranges import PERCENTILES, TensorRange
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer

CODE = "QD501"
REPAIRS: tuple[str, ...] = ("calibrate_on_measured", "cover_range")

OVERSHOOT_PERCENT = 20.0
USED_PERCENT = 50.0
VALUES = 1000


def find(context: DetectionContext) -> Finding | None:
    """Layers whose measured values do not fit the range that the calibration data gave them."""
    sites = []
    for record, facts in context.layers:
        seen, measured = record.range, facts.measured_range
        if seen is None or measured is None or not has_own_quantizer(record):
            continue
        if context.measurement.scheme.gives_range_of(record.name):
            continue
        if not seen.percentiles or not measured.percentiles or seen.min == seen.max:
            continue
        if min(seen.count, measured.count) < VALUES:
            continue
        overshoot, used = _overshoot_percent(seen, measured), _used_percent(seen, measured)
        if overshoot >= OVERSHOOT_PERCENT or used <= USED_PERCENT:
            evidence = (
                Evidence("overshoot", overshoot, "%", OVERSHOOT_PERCENT),
                Evidence("used_range", used, "%", USED_PERCENT),
                Evidence("clipped_fraction", 100.0 * record.clipped_fraction, "%"),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _overshoot_percent(seen: TensorRange, measured: TensorRange) -> float:
    low, high = min(seen.min, 0.0), max(seen.max, 0.0)
    above = measured.percentiles[PERCENTILES.index(99.0)] - high
    below = low - measured.percentiles[PERCENTILES.index(1.0)]
    return 100.0 * max(above, below) / (high - low)


def _used_percent(seen: TensorRange, measured: TensorRange) -> float:
    bulk = max(seen.percentiles[PERCENTILES.index(99.9)], 0.0) - min(seen.percentiles[PERCENTILES.index(0.1)], 0.0)
    used = max(measured.max, 0.0) - min(measured.min, 0.0)
    return 100.0 * used / bulk if bulk > 0.0 else 100.0
