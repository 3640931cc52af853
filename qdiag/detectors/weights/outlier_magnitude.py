"""One weight sets the magnitude of all signs of its channel.

What it means:
    The magnitude of binary weights is the mean of the |weights|, which one large weight can raise without limit: all
    others of its channel are then represented by a magnitude that is too large for them, and the large one by one that
    is too small.

How it is computed:
    mean_over_median: largest over channels of mean |weight| over median |weight|: 1.2 for a Gaussian, 1.4 for a Laplace
        distribution
    largest_share [%]: of the sum of all |weights| of that channel, what its largest one has

Thresholds:
    It is reported where the mean is at least twice the median, the largest weight has at least a quarter of the sum,
    each channel has 8 weights or more, there is one magnitude per channel or tensor (not signs alone), and local SQNR
    is below 28 dB. Channels in which half of the weights are zero have no such median, and are left out.

What helps:
    Compute the magnitude from weights that are clipped to three times the median first. Where the large weight matters,
    keep the layer in 8 bits or in float.

Sources:
    Rastegari et al., arXiv 1603.05279, equation 6 (the mean); Huber, Robust Statistics, section 1.3 (clipped means).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.facts import SignFacts
from qdiag.core.measures.records import WeightRecord
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses, ratio

CODE = "QD111"
REPAIRS: tuple[str, ...] = ("clip_sign_scale", "eight_bits", "keep_float")

MEAN_OVER_MEDIAN = 2.0
SHARE_PERCENT = 25.0
FAN_IN = 8


def find(context: DetectionContext) -> Finding | None:
    """Layers in which one weight sets a magnitude."""
    sites = []
    for record, facts in context.layers:
        signs = facts.signs
        if signs is None or signs.fan_in < FAN_IN or not _has_magnitude(record.weight) or not loses(record):
            continue
        channels = tuple(c for c in range(len(signs.mean_abs)) if _is_set_by_one(signs, c))
        if channels:
            worst = max(channels, key=lambda c: ratio(signs.mean_abs[c], signs.median_abs[c]))
            evidence = (
                Evidence("mean_over_median", signs.mean_abs[worst] / signs.median_abs[worst], "", MEAN_OVER_MEDIAN),
                Evidence("largest_share", _share_percent(signs, worst), "%", SHARE_PERCENT),
                local_evidence(record),
            )
            sites.append(FindingSite(record.name, channels, evidence))
    return finding(CODE, sites, REPAIRS)


def _has_magnitude(weight: WeightRecord | None) -> bool:
    """The scheme gives it one; plain signs are 1 whatever the weights are."""
    quantizer = weight.quantizer if weight is not None and weight.own_format is None else None
    return quantizer is not None and quantizer.type == "binary" and quantizer.range_max != 1.0


def _is_set_by_one(signs: SignFacts, channel: int) -> bool:
    median = signs.median_abs[channel]
    is_far = median > 0.0 and signs.mean_abs[channel] >= MEAN_OVER_MEDIAN * median
    return is_far and _share_percent(signs, channel) >= SHARE_PERCENT


def _share_percent(signs: SignFacts, channel: int) -> float:
    return 100.0 * signs.max_abs[channel] / (signs.fan_in * signs.mean_abs[channel])
