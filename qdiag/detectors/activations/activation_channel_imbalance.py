"""A few channels of an activation have far larger values than the others, and all share one scale.

What it means:
    Integer backends have one scale per activation. Where a few channels are ten times wider, the rest have a tenth of
    the levels. The layer's own SQNR does not show it: the wide channels have nearly all of the signal power and are
    rounded finely.

How it is computed:
    These are measured per channel on the calibration data; channels a million times below the widest do not count:

    spread [bits]: log2( max |x| of the widest channel / that of the median channel )
    median_channel_sqnr [dB]: median of 10 log10( 12 mean(x^2) / scale^2 )

Thresholds:
    It is reported where the spread is at least 4 bits, at most an eighth of the channels is wider than half of the
    widest one, and the median channel keeps less than 15 dB. Healthy layers have a spread of 0.4 to 3.5 bits.

What helps:
    Equalization moves the difference into the weights of the next layer, at no cost. 16-bit activations help as well.

Sources:
    Nagel et al., arXiv 1906.04721, section 4.1; Xiao et al., arXiv 2211.10438 (SmoothQuant).
"""

import math

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.ranges import ChannelRanges
from qdiag.detectors.base import (
    CARRIES,
    DetectionContext,
    channel_rounding_db,
    finding,
    has_own_quantizer,
    median_or_nan,
    sqnr_limit_db,
)

CODE = "QD205"
REPAIRS: tuple[str, ...] = ("equalize", "activations_16bit")

SPREAD_BITS = 4.0
MEDIAN_CHANNEL_DB = 15.0
FEW = 8
"""The wide channels are at most one in so many."""


def find(context: DetectionContext) -> Finding | None:
    """Layers whose activation range is set by few channels."""
    sites = []
    for record, facts in context.layers:
        if facts.channels is None or record.quantizer is None or not has_own_quantizer(record):
            continue
        widths = _widths(facts.channels)
        alive = [c for c, width in enumerate(widths) if width > CARRIES * max(widths)]
        wide = tuple(c for c in alive if widths[c] > 0.5 * max(widths))
        if not alive or len(wide) * FEW > len(alive):
            continue
        spread = math.log2(max(widths) / median_or_nan(widths[c] for c in alive))
        sqnr_db = median_or_nan(channel_rounding_db(facts.channels, c, record.quantizer) for c in alive)
        limit_db = sqnr_limit_db(record, MEDIAN_CHANNEL_DB)
        if spread >= SPREAD_BITS and sqnr_db < limit_db:
            evidence = (
                Evidence("spread", spread, "bits", SPREAD_BITS),
                Evidence("median_channel_sqnr", sqnr_db, "dB", limit_db),
            )
            sites.append(FindingSite(record.name, wide, evidence))
    return finding(CODE, sites, REPAIRS)


def _widths(channels: ChannelRanges) -> list[float]:
    pairs = zip(channels.min, channels.max, strict=True)
    return [max(abs(low), abs(high)) if math.isfinite(low) and math.isfinite(high) else 0.0 for low, high in pairs]
