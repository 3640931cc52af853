"""A large share of a weight's channels has hardly any levels left.

What it means:
    With one scale for the whole weight, a channel whose largest weight is below 1/32 of the layer's has fewer than
    three bits: at most four levels on each side of zero. A few such channels are common and harmless, since they carry
    little signal. When there are many, the output of the whole layer changes.

How it is computed:
    vanishing_fraction [%]: live channels with fewer than 3 effective bits, bits - log2(max |W| of the layer / max |W|
        of the channel)
    per_channel_gain [dB]: median channel's weight SQNR with one scale per channel, minus that with one scale

    Channels that their BatchNorm says are dead do not count, nor do those a million times below the widest.

Thresholds:
    It is reported where at least 25 % of the live channels vanish, the gain is at least 15 dB, and local SQNR of the
    layer or of its median channel (channel_sqnr) is below 28 dB. In a format with uneven levels, whose best SQNR may be
    below 15 dB, the gain has to reach 3 dB less than that best. Per-channel scales gain 3 to 14 dB in most healthy
    layers, and 31 to 40 dB in the depthwise layers that cost a MobileNetV1 67 points.

What helps:
    Equalize the layer: channels are scaled to similar ranges, and the weights of the next layer by the inverse. One
    scale per channel helps as well.

Sources:
    Nagel et al., arXiv 1906.04721, section 4.1; Krishnamoorthi, arXiv 1806.08342, section 3.1.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, channel_evidence, effective_bits, finding, loses_per_tensor

CODE = "QD103"
REPAIRS: tuple[str, ...] = ("equalize", "clip_weights", "per_channel_weights")

FEW_BITS = 3.0
VANISHING_PERCENT = 25.0
PER_CHANNEL_GAIN_DB = 15.0


def find(context: DetectionContext) -> Finding | None:
    """Layers with one scale per weight, in which many live channels have few levels."""
    sites = []
    for record, facts in context.layers:
        weight = facts.weight
        quantizer = record.weight.quantizer if record.weight is not None else None
        if weight is None or record.weight is None or quantizer is None or not loses_per_tensor(record, facts):
            continue
        widths = weight.channel_max_abs
        live = context.live_channels(record, widths)
        bits = effective_bits(record.weight, (widths[c] for c in live), max(widths, default=0.0))
        vanishing = tuple(c for c, own in zip(live, bits, strict=False) if own < FEW_BITS)
        percent = 100.0 * len(vanishing) / max(len(live), 1)
        gain = weight.sqnr_per_channel_db - weight.sqnr_per_tensor_db
        least_gain = quantizer.sqnr_limit_db(PER_CHANNEL_GAIN_DB)
        if percent >= VANISHING_PERCENT and gain >= least_gain:
            evidence = (
                Evidence("vanishing_fraction", percent, "%", VANISHING_PERCENT),
                Evidence("per_channel_gain", gain, "dB", least_gain),
                channel_evidence(record, facts),
            )
            sites.append(FindingSite(record.name, vanishing, evidence))
    return finding(CODE, sites, REPAIRS)
