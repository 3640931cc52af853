"""Single weights, not whole channels, are far larger than all others.

What it means:
    A few weights set the range, and all others, of their own channel as well as of the rest of the layer, are rounded
    to few levels. One scale per channel helps little, since the outliers sit inside the channels. Re-parameterized
    blocks have such weights: the identity branch adds gamma / sigma to the centre tap of each kernel and to nothing
    else.

How it is computed:
    kurtosis: fourth standardized moment over all weights; 3 for a Gaussian
    channel_kurtosis: the largest of single channels, each against its own spread
    outlier_fraction [%]: weights beyond half of the largest |weight|
    weight_sqnr_below_gaussian [dB]: SQNR of Gaussian weights in this format, for a range of four standard deviations
        (6.02 bits - 7.3 dB with even steps), minus the median channel's SQNR at the granularity of the scheme

Thresholds:
    It is reported where both kurtoses are at least 20, at most 1 % of the weights lie beyond half of the largest, the
    weight SQNR is 9 dB (a bit and a half) below that of a Gaussian, and local SQNR is below 28 dB. A Laplace
    distribution has a kurtosis of 6; CIFAR ResNets have 3 to 12. Nine weights of a depthwise kernel cannot have a
    kurtosis above 9: single outliers there are channels that set the range (QD101).

What helps:
    Clip the range by least squared error. Weights with one scale per channel help where only a few channels hold
    outliers. Train re-parameterized blocks with BatchNorm after the sum (QARepVGG).

Sources:
    Chu et al., arXiv 2212.01593, section 3; Zhao et al., arXiv 1901.09504 (outlier channel splitting).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.facts import WeightFacts
from qdiag.core.measures.records import WeightRecord
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses

CODE = "QD102"
REPAIRS: tuple[str, ...] = ("clip_weights", "per_channel_weights", "keep_float")

KURTOSIS = 20.0
OUTLIER_PERCENT = 1.0
BELOW_GAUSSIAN_DB = 9.0


def find(context: DetectionContext) -> Finding | None:
    """Layers in which single weights set the range."""
    sites = []
    for record, facts in context.layers:
        weight = facts.weight
        if weight is None or record.weight is None or record.weight.quantizer is None or not loses(record):
            continue
        percent = 100.0 * weight.outlier_count / max(weight.count, 1)
        below = record.weight.quantizer.gaussian_sqnr_db - _sqnr_db(record.weight, weight)
        is_peaked = weight.kurtosis >= KURTOSIS and weight.channel_kurtosis_max >= KURTOSIS
        if is_peaked and percent <= OUTLIER_PERCENT and below >= BELOW_GAUSSIAN_DB:
            evidence = (
                Evidence("kurtosis", weight.kurtosis, "", KURTOSIS),
                Evidence("channel_kurtosis", weight.channel_kurtosis_max, "", KURTOSIS),
                Evidence("outlier_fraction", percent, "%", OUTLIER_PERCENT),
                Evidence("weight_sqnr_below_gaussian", below, "dB", BELOW_GAUSSIAN_DB),
                local_evidence(record),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _sqnr_db(record: WeightRecord, facts: WeightFacts) -> float:
    return facts.sqnr_per_tensor_db if record.granularity == "per_tensor" else facts.sqnr_per_channel_db
