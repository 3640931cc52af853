"""Few samples set the ranges, and the values of other samples lie beyond them.

What it means:
    The minimum and maximum of few samples lie inside those of many. What lies beyond is clipped, in many
    layers at once, although no layer is at fault: more calibration samples remove the error.

How it is computed:
    calibration_samples [samples]: samples behind the ranges
    reach [%]: how far the minimum or maximum of the measured values lies beyond the range of the calibration data, in
        percent of that range, both widened to hold 0

Thresholds:
    It is reported where there are fewer than 16 samples, the reach is at least 10 %, and the range is not given by the
    scheme or the network.

What helps:
    Calibrate on 64 to 1,000 varied samples. Ranges taken from the measured data show how much accuracy can be
    recovered.

Sources:
    Nagel et al., arXiv 2106.08295, section 3; Wu et al., arXiv 2004.09602, section 5.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.ranges import TensorRange
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer

CODE = "QD503"
REPAIRS: tuple[str, ...] = ("calibrate_on_measured",)

SAMPLES = 16
REACH_PERCENT = 10.0


def find(context: DetectionContext) -> Finding | None:
    """Layers whose measured values reach beyond a range that few samples gave them."""
    count = context.measurement.data.calibration_count
    if context.measurement.data.is_data_free or not 0 < count < SAMPLES:
        return None
    sites = []
    for record, facts in context.layers:
        if record.range is None or facts.measured_range is None or not has_own_quantizer(record):
            continue
        if context.measurement.scheme.gives_range_of(record.name):
            continue
        reach = _reach_percent(record.range, facts.measured_range)
        if reach >= REACH_PERCENT:
            evidence = (
                Evidence("reach", reach, "%", REACH_PERCENT),
                Evidence("calibration_samples", float(count), "samples", float(SAMPLES)),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _reach_percent(seen: TensorRange, measured: TensorRange) -> float:
    low, high = min(seen.min, 0.0), max(seen.max, 0.0)
    beyond = max(measured.max - high, low - measured.min, 0.0)
    return 100.0 * beyond / (high - low) if high > low else 0.0
