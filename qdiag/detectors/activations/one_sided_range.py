"""Values of one sign use only half of the levels of a symmetric quantizer.

What it means:
    A symmetric signed quantizer has as many levels below zero as above. After a ReLU nothing is below zero, and one bit
    is gone. After SiLU or GELU a little is below, down to -0.3, and nearly as much is lost. Floating-point formats are
    left out: they have a sign in any case.

How it is computed:
    unused_levels [%]: share of the quantizer's range that lies beyond minimum and maximum on the calibration data
    rounding_sqnr [dB]: 10 log10( 12 mean(x^2) / scale^2 ), exact zeros not counted as rounded

Thresholds:
    It is reported where at least 40 % of the levels are unused (0.74 bits, 4.4 dB) and rounding_sqnr is below 25 dB:
    where 8 bits leave enough, the lost bit is the backend's own choice and no fault. Four healthy networks under a
    symmetric scheme have 28 dB or more.

What helps:
    Use affine activations, or unsigned ones after a ReLU, where the backend has them.

Sources:
    Wu et al., arXiv 2004.09602, section 3; Krishnamoorthi, arXiv 1806.08342, section 2.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer, rounding_sqnr_db, sqnr_limit_db

CODE = "QD203"
REPAIRS: tuple[str, ...] = ("asymmetric_activations",)

UNUSED_PERCENT = 40.0
ROUNDING_DB = 25.0


def find(context: DetectionContext) -> Finding | None:
    """Layers with a symmetric quantizer of which one side is empty."""
    sites = []
    for record, _ in context.layers:
        percent = _unused_percent(record)
        if percent >= UNUSED_PERCENT and rounding_sqnr_db(record) < sqnr_limit_db(record, ROUNDING_DB):
            evidence = (
                Evidence("unused_levels", percent, "%", UNUSED_PERCENT),
                Evidence("rounding_sqnr", rounding_sqnr_db(record), "dB", sqnr_limit_db(record, ROUNDING_DB)),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _unused_percent(record: OpRecord) -> float:
    seen, quantizer = record.range, record.quantizer
    if seen is None or quantizer is None or not has_own_quantizer(record) or quantizer.is_floating:
        return 0.0
    width = quantizer.range_max - quantizer.range_min
    if not quantizer.symmetric or not quantizer.range_min < 0.0 or not width > 0.0 or seen.min == seen.max == 0.0:
        return 0.0
    used = min(max(seen.max, 0.0), quantizer.range_max) - max(min(seen.min, 0.0), quantizer.range_min)
    return 100.0 * (1.0 - used / width)
