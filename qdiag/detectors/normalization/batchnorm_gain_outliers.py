"""Live channels with a huge BatchNorm gain set the range of the weight that takes them in.

What it means:
    A channel whose inputs vary little, but do vary, is scaled up by BatchNorm as it should be. Folded into the weight,
    its gain widens the range of the layer, and all other channels are left with fewer levels. Unlike a dead channel
    (QD301) it carries
    signal: its variance cannot be replaced, and a repair of the dead channels leaves it.

How it is computed:
    gain_over_median [x]: |gamma / sqrt(var + eps)| over the median of the live channels
    range_over_others [x]: max |W'| of the outliers / max |W'| of the other live channels, W' the folded weight
    bits_left [bits]: bits - log2(max |W'| of the outliers / max |W'| of the channel), median over the other
        live ones

Thresholds:
    It is reported where a gain is at least 8 times the median (three bits) and four robust standard deviations of log2
    above it (see `qdiag bn`), range_over_others is at least 2 (one bit), bits_left is at least 3 below the bits of the
    weight, and local SQNR of the layer, or of its median channel (channel_sqnr), is below 28 dB. The gain alone proves
    nothing: a huge gain on tiny weights makes small folded weights. Where levels are uneven, the limit is fewer than 3
    of them on each side of zero.

What helps:
    What helps any channel that sets the range helps here: clip the range, equalize the layer, use one scale per
    channel, or keep the layer in float.

Sources:
    Sheng et al., arXiv 1803.08607, section 3; Chu et al., arXiv 2212.01593, section 3.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import (
    DetectionContext,
    bits_limit,
    channel_evidence,
    effective_bits,
    finding,
    loses_per_tensor,
    median_or_nan,
)

CODE = "QD302"
REPAIRS: tuple[str, ...] = ("clip_weights", "equalize", "per_channel_weights", "keep_float")

RANGE_OVER_OTHERS = 2.0
BITS_LOST = 3.0


def find(context: DetectionContext) -> Finding | None:
    """Layers with one scale per weight, stretched by live channels with a huge gain."""
    sites = []
    for record, facts, norm in context.folded_norms():
        outliers = [o for o in norm.outliers if o.folded_max_abs > 0.0]
        named = {outlier.channel for outlier in outliers}
        others = [norm.folded_max_abs[c] for c in norm.live_channels if c not in named]
        if not outliers or not others or record.weight is None or not loses_per_tensor(record, facts):
            continue
        rest, limit = max(others), bits_limit(record.weight, BITS_LOST)
        setting = [outlier for outlier in outliers if outlier.folded_max_abs > rest]
        over_others = max(outlier.folded_max_abs for outlier in outliers) / rest if rest > 0.0 else 0.0
        widest = max(outlier.folded_max_abs for outlier in outliers)
        left = median_or_nan(effective_bits(record.weight, others, widest))
        if setting and over_others >= RANGE_OVER_OTHERS and left <= limit:
            evidence = (
                Evidence("range_over_others", over_others, "x", RANGE_OVER_OTHERS),
                Evidence("gain_over_median", max(outlier.gain_over_median for outlier in setting), "x"),
                Evidence("bits_left", left, "bits", limit, record.weight.bits),
                channel_evidence(record, facts),
            )
            sites.append(FindingSite(record.name, tuple(outlier.channel for outlier in setting), evidence))
    return finding(CODE, sites, REPAIRS)
