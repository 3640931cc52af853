"""A few output channels of a weight have far larger values than all others, and all share one scale.

What it means:
    One scale for the whole weight is set by its widest channel. Every other channel is rounded with the step of that
    one: a channel whose largest weight is 1/16 of it has 4 of 8 bits left. Depthwise convolutions suffer most, because
    a channel there is computed from its own few weights alone.

How it is computed:
    Channels that their BatchNorm says are dead (QD301) and channels of zeros are left out. Among the widest eighth of
    the rest, the channels above the widest gap are the outliers.

    range_over_others [x]: max |W| of the outliers / max |W| of all others
    bits_left [bits]: bits - log2(max |W| of the outliers / max |W| of the channel), median over the others;
        where levels are uneven, log2 of the number of levels in the channel's range

Thresholds:
    It is reported where range_over_others is at least 2 (one bit), bits_left is at least 3 below the bits of the
    weight, and local SQNR, of the layer or of its median channel (channel_sqnr), is below 28 dB. In healthy layers the
    largest weight of the median channel is half of that of the widest, which costs it one bit, two at most; three bits
    are 18 dB. Where levels are uneven, the limit is fewer than 3 of them on each side of zero.

What helps:
    Use one scale per channel, where the backend has it (MobileNetV1: from 9.0 to 76.2 % top-1). Otherwise clip the
    range by least squared error, or equalize the layer with those beside it. Keep the layer in float as the last
    resort.

Sources:
    Krishnamoorthi, arXiv 1806.08342, sections 3 and 4; Nagel et al., arXiv 1906.04721, section 3.
"""

from collections.abc import Sequence

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

CODE = "QD101"
REPAIRS: tuple[str, ...] = ("clip_weights", "equalize", "per_channel_weights", "keep_float")

RANGE_OVER_OTHERS = 2.0
BITS_LOST = 3.0
FEW = 8
"""The outliers are at most one in so many channels."""


def find(context: DetectionContext) -> Finding | None:
    """Layers with one scale per weight, in which few live channels set it."""
    sites = []
    for record, facts in context.layers:
        if facts.weight is None or record.weight is None or not loses_per_tensor(record, facts):
            continue
        widths = facts.weight.channel_max_abs
        live = context.live_channels(record, widths)
        few = outlier_channels(live, widths)
        others = [widths[c] for c in live if c not in few]
        if not few or not others:
            continue
        limit = bits_limit(record.weight, BITS_LOST)
        over_others = max(widths[c] for c in few) / max(others)
        left = median_or_nan(effective_bits(record.weight, others, max(widths[c] for c in few)))
        if over_others >= RANGE_OVER_OTHERS and left <= limit:
            evidence = (
                Evidence("range_over_others", over_others, "x", RANGE_OVER_OTHERS),
                Evidence("bits_left", left, "bits", limit, record.weight.bits),
                channel_evidence(record, facts),
            )
            sites.append(FindingSite(record.name, tuple(sorted(few)), evidence))
    return finding(CODE, sites, REPAIRS)


def outlier_channels(channels: Sequence[int], widths: Sequence[float]) -> frozenset[int]:
    """The widest channels, down to the widest gap within the first eighth of them; empty for a single channel."""
    ordered = sorted(channels, key=lambda c: -widths[c])
    most = max(1, len(ordered) // FEW)
    if len(ordered) <= most:
        return frozenset()
    gap = max(range(1, most + 1), key=lambda k: widths[ordered[k - 1]] / widths[ordered[k]])
    return frozenset(ordered[:gap])
