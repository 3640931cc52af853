"""The weights of a channel have one sign, so the signs carry no information.

What it means:
    A channel whose weights all lie on one side of zero becomes a sum of its inputs, whatever its weights are. Their
    common part is kept, and their differences are lost.

How it is computed:
    same_sign [%]: median over channels of the share of the sign that more of their weights have, as the scheme takes
        the signs; at 50 the signs carry the most information, at 100 none
    one_sided_channels [%]: channels in which that is at least 90 %

Thresholds:
    It is reported where at least half of the channels are one-sided, each channel has 8 weights or more, and local SQNR
    is below 28 dB. Of 8 weights that are drawn around zero, all have the same sign in 1 of 128 channels.

What helps:
    Centre the weights over the input channels before the sign is taken, as networks that are trained with binary
    weights do, or keep the layer in 8 bits.

Sources:
    Rastegari et al., arXiv 1603.05279 (its code centres and clamps the weights); Qin et al., arXiv 1909.10788, section
    3.2 (balanced weights have the largest entropy).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses, median_or_nan

CODE = "QD109"
REPAIRS: tuple[str, ...] = ("center_weights", "eight_bits", "keep_float")

SAME_SIGN_PERCENT = 90.0
CHANNELS_PERCENT = 50.0
FAN_IN = 8


def find(context: DetectionContext) -> Finding | None:
    """Layers whose channels have weights of one sign."""
    sites = []
    for record, facts in context.layers:
        signs = facts.signs
        if signs is None or signs.fan_in < FAN_IN or not loses(record):
            continue
        shares = [100.0 * max(share, 1.0 - share) for share in signs.positive_fraction]
        channels = tuple(c for c, share in enumerate(shares) if share >= SAME_SIGN_PERCENT)
        percent = 100.0 * len(channels) / max(len(shares), 1)
        if percent >= CHANNELS_PERCENT:
            evidence = (
                Evidence("same_sign", median_or_nan(shares), "%", SAME_SIGN_PERCENT),
                Evidence("one_sided_channels", percent, "%", CHANNELS_PERCENT),
                local_evidence(record),
            )
            sites.append(FindingSite(record.name, channels, evidence))
    return finding(CODE, sites, REPAIRS)
