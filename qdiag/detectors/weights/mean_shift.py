"""Rounding of the weights shifts the mean of the output channels.

What it means:
    The rounding errors of a channel's weights are fixed numbers. On inputs whose mean is not zero, such as those after
    a ReLU, they add up to a constant per channel. Subtracting that constant from the bias removes it, at no cost at run
    time.

How it is computed:
    mean_shift_fraction [%]: share of the noise power at the layer's output, on quantized float inputs, that one
        constant per channel explains
    local_below_expected [dB]: local SQNR that rounding of the output alone would give, minus the layer's own

Thresholds:
    It is reported where mean_shift_fraction is at least 50 %, so that correcting the bias gives 3 dB or more, and local
    SQNR is below 28 dB and at least 6 dB below what rounding of the output explains.

What helps:
    Correct the bias by the shift that is measured on the calibration data.

Sources:
    Nagel et al., arXiv 1906.04721, section 4.2; Finkelstein et al., arXiv 1906.03193.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses

CODE = "QD106"
REPAIRS: tuple[str, ...] = ("correct_bias",)

SHIFT_PERCENT = 50.0
BELOW_EXPECTED_DB = 6.0


def find(context: DetectionContext) -> Finding | None:
    """Layers whose noise is mostly a constant per channel."""
    sites = []
    for record, facts in context.layers:
        percent = 100.0 * facts.mean_shift_fraction
        below = record.expected_sqnr_db - record.local.sqnr_db
        if record.weight is None or not loses(record):
            continue
        if percent >= SHIFT_PERCENT and below >= BELOW_EXPECTED_DB:
            evidence = (
                Evidence("mean_shift_fraction", percent, "%", SHIFT_PERCENT),
                Evidence("local_below_expected", below, "dB", BELOW_EXPECTED_DB),
                local_evidence(record),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)
