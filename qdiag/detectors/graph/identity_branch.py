"""The identity branch of a re-parameterized block sets the range of the fused weight.

What it means:
    A block adds its input, scaled by the gain of a BatchNorm, to the outputs of its convolutions. Fused, that gain is
    one number per channel at the centre of the kernel, and where the channel hardly varied in training it is huge: 692
    and 1,477 in layers 5 and 6 of the source's RepVGG, beside weights below one. One scale for the tensor then leaves
    the other weights nothing, and one scale per channel leaves nothing to the others of that channel.

How it is computed:
    identity_over_others [x]: largest |w[c, c, centre]| / largest of all other |w|; in the median channel where each
        has a scale of its own
    identity_max: largest |w[c, c, centre]|
    bits_left [bits]: bits - log2(identity_max / largest other |w| of a channel), median over channels; with one scale
        per channel against the identity of that channel

Thresholds:
    It is reported where identity_over_others is at least 4 (two bits), bits_left is at least 3 below the bits of the
    weight, and local SQNR of the layer, or of its median channel (channel_sqnr), is below 28 dB. A convolution with as
    many channels in as out, and a kernel with a centre, is looked at whether or not it was made from branches, because
    a fused layer does not say so.

What helps:
    Let the layer that makes the input of the branch absorb the gain, as far as the values of that layer may grow.
    Equalization moves it there with the gains of all other channels. A clipped range, one weight scale per channel and
    the layer in float help as well. In training, use no BatchNorm on the identity (S2 of the source), or none on the
    1x1 branch either and one behind the sum (S4, QARepVGG). In a network that is not fused yet, qdiag looks for this in
    a fused copy, and tries the repairs there. `qdiag branches` shows the branches.

Sources:
    Chu et al., arXiv 2212.01593, section 3; Ding et al., arXiv 2101.03697.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.facts import LayerFacts, WeightFacts
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import (
    LOCAL_HARM_DB,
    DetectionContext,
    bits_limit,
    channel_evidence,
    effective_bits,
    finding,
    loses,
    median_or_nan,
    ratio,
)

CODE = "QD408"
REPAIRS: tuple[str, ...] = ("absorb_identity", "equalize", "clip_weights", "per_channel_weights", "keep_float")

OVER_OTHERS = 4.0
BITS_LOST = 3.0


def find(context: DetectionContext) -> Finding | None:
    """Layers whose weights at the place of an identity reach far beyond all others."""
    sites = []
    for record, facts in context.layers:
        weight = facts.weight
        if weight is None or record.weight is None or not weight.identity_max_abs:
            continue
        if not (loses(record) or facts.channel_sqnr_db_median < LOCAL_HARM_DB):
            continue
        over, channels = _over_others(weight, is_per_tensor=record.weight.is_per_tensor)
        left, limit = _bits_left(record, weight), bits_limit(record.weight, BITS_LOST)
        if channels and over >= OVER_OTHERS and left <= limit:
            sites.append(FindingSite(record.name, channels, _evidence(record, facts, weight, (over, left, limit))))
    return finding(CODE, sites, REPAIRS)


def _evidence(
    record: OpRecord, facts: LayerFacts, weight: WeightFacts, figures: tuple[float, float, float]
) -> tuple[Evidence, ...]:
    over, left, limit = figures
    assert record.weight is not None
    return (
        Evidence("identity_over_others", over, "x", OVER_OTHERS),
        Evidence("identity_max", max(weight.identity_max_abs)),
        Evidence("bits_left", left, "bits", limit, record.weight.bits),
        channel_evidence(record, facts),
    )


def _over_others(weight: WeightFacts, *, is_per_tensor: bool) -> tuple[float, tuple[int, ...]]:
    """The figure, and the channels in which the identity is beyond what else shares its scale."""
    identity, others = weight.identity_max_abs, weight.others_max_abs
    if is_per_tensor:
        rest = max(others)
        return ratio(max(identity), rest), tuple(c for c, value in enumerate(identity) if value > OVER_OTHERS * rest)
    ratios = [ratio(value, rest) for value, rest in zip(identity, others, strict=True)]
    return median_or_nan(ratios), tuple(c for c, value in enumerate(ratios) if value >= OVER_OTHERS)


def _bits_left(record: OpRecord, weight: WeightFacts) -> float:
    """Bits that the other weights of the median channel have left under the scale that the identity sets."""
    assert record.weight is not None
    if record.weight.is_per_tensor:
        return median_or_nan(effective_bits(record.weight, weight.others_max_abs, max(weight.identity_max_abs)))
    pairs = zip(weight.identity_max_abs, weight.others_max_abs, strict=True)
    return median_or_nan(bits for one, rest in pairs for bits in effective_bits(record.weight, (rest,), one))
