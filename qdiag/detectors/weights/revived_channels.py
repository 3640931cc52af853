"""Channels that have hardly any weight get the same magnitude as all others.

What it means:
    With signs alone, or one magnitude for the whole tensor, a channel whose weights training or pruning has made nearly
    zero is given weights as large as those of the others, and their signs are noise.

How it is computed:
    least_magnitude [%]: smallest mean |weight| of a channel over the median channel's
    dead_channels: channels below the limit that have any weight at all

Thresholds:
    It is reported where the mean |weight| of a channel is at most 2 % of the median channel's, all channels share one
    magnitude, and local SQNR is below 28 dB. With one magnitude per channel such a channel stays as small as it was,
    and ternary weights make it zero.

What helps:
    Use one magnitude per channel, the mean of its |weights|, or keep the layer in 8 bits.

Sources:
    Rastegari et al., arXiv 1603.05279, equation 6 (a magnitude per filter).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, finding, is_per_tensor, local_evidence, loses, lowest, median_or_nan

CODE = "QD110"
REPAIRS: tuple[str, ...] = ("scale_signs", "eight_bits", "keep_float")

DEAD_PERCENT = 2.0


def find(context: DetectionContext) -> Finding | None:
    """Layers with such channels."""
    sites = []
    for record, facts in context.layers:
        signs = facts.signs
        if signs is None or not _is_one_magnitude(record) or not loses(record):
            continue
        middle = median_or_nan(signs.mean_abs)
        if not middle > 0.0:
            continue
        shares = [100.0 * mean / middle for mean in signs.mean_abs]
        channels = tuple(c for c, share in enumerate(shares) if 0.0 < share <= DEAD_PERCENT)
        if channels:
            evidence = (
                Evidence("least_magnitude", min(shares[c] for c in channels), "%", DEAD_PERCENT),
                Evidence("dead_channels", float(len(channels)), "", whole=len(shares)),
                local_evidence(record),
            )
            sites.append(FindingSite(record.name, channels, evidence))
    return finding(CODE, sites, REPAIRS, worst=lowest)


def _is_one_magnitude(record: OpRecord) -> bool:
    """Of all channels, with no zero beside it that faint weights could take."""
    quantizer = record.weight.quantizer if record.weight is not None else None
    return quantizer is not None and quantizer.type == "binary" and is_per_tensor(record)
