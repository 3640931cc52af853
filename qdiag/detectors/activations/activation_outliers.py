"""Rare values far beyond all others set the range of an activation.

What it means:
    A range from minimum to maximum covers every value, and one value in a thousand decides how coarse the steps are for
    the rest. Clipping those few costs less than it recovers, up to a point that only a search or a measurement finds.
    Outliers that carry meaning (attention sinks, detection scores) must not be clipped: then only more bits help.

How it is computed:
    These are measured on the calibration data, with both ranges widened to hold 0:

    range_over_bulk [x]: covered part of (maximum - minimum) / (99.9th - 0.1th percentile)
    rounding_sqnr [dB]: 10 log10( 12 mean(x^2) / scale^2 ), exact zeros not counted as rounded

    Covered is what the quantizer can represent, so that a calibrator that clips the outliers already is not reported.

Thresholds:
    It is reported where range_over_bulk is at least 8 (three bits are spent on one value in a thousand) and
    rounding_sqnr is below 25 dB. A Gaussian has a range_over_bulk of 1.6; ReLU outputs of healthy networks have 1.7 to
    5.

What helps:
    Use another calibrator for these layers: least squared error, percentile or entropy, each of which is measured.
    16-bit activations help as well.

Sources:
    Migacz, "8-bit Inference with TensorRT", GTC 2017; Wu et al., arXiv 2004.09602, section 5; onnxruntime issue 17235.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.ranges import PERCENTILES
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer, ratio, rounding_sqnr_db, sqnr_limit_db

CODE = "QD201"
REPAIRS: tuple[str, ...] = (
    "clip_activations_mse",
    "clip_activations_percentile",
    "clip_activations_entropy",
    "activations_16bit",
)

RANGE_OVER_BULK = 8.0
ROUNDING_DB = 25.0
_LOW, _HIGH = PERCENTILES.index(0.1), PERCENTILES.index(99.9)


def find(context: DetectionContext) -> Finding | None:
    """Layers whose range is set by less than one value in a thousand on either side."""
    sites = []
    for record, _ in context.layers:
        over_bulk = _range_over_bulk(record)
        if (
            over_bulk >= RANGE_OVER_BULK
            and rounding_sqnr_db(record) < sqnr_limit_db(record, ROUNDING_DB)
            and record.range is not None
        ):
            evidence = (
                Evidence("range_over_bulk", over_bulk, "x", RANGE_OVER_BULK),
                Evidence("kurtosis", record.range.kurtosis),
                Evidence("rounding_sqnr", rounding_sqnr_db(record), "dB", sqnr_limit_db(record, ROUNDING_DB)),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _range_over_bulk(record: OpRecord) -> float:
    seen, quantizer = record.range, record.quantizer
    if seen is None or quantizer is None or not has_own_quantizer(record) or not seen.percentiles:
        return 0.0
    high = max(0.0, min(seen.max, quantizer.range_max))
    low = min(0.0, max(seen.min, quantizer.range_min))
    bulk = max(0.0, seen.percentiles[_HIGH]) - min(0.0, seen.percentiles[_LOW])
    return ratio(high - low, bulk)
