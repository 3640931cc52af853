"""Dead BatchNorm channels set the range of the weight that takes them in.

What it means:
    A channel whose input never varies has a running variance near zero, and its gain is set by eps instead of by data:
    gamma / sqrt(eps) can be a hundred times the gain of its neighbours. Folded, its weights widen the range of the
    layer, although the output of the channel is a constant. The other channels are left with fewer levels. A BatchNorm
    behind an activation does the same to the inputs of the layer after it.

How it is computed:
    The gain of a channel is alpha = gamma / sqrt(var + eps), and its folded weight is W' = alpha W:

    range_over_live [x]: max |W'| of a dead channel / max |W'| of all live channels
    bits_left [bits]: bits - log2(max |W'| of the layer / max |W'| of the channel), median over the live ones
    setting_channels: how many of the layer's dead channels lie beyond every live one

    Which channels are dead is said by their variance against eps and against the other channels (see `qdiag bn`).

Thresholds:
    It is reported where range_over_live is above 1, so that the range is wider than the live channels need. Dead
    channels at or below 1 are harmless to the range whatever their gain, and are left out: in InceptionV3 a gain of
    1,000 multiplies weights of 3e-10. Neither the number of dead channels nor the ratio decides: one network with 1,540
    of them and ratios up to 2.8 loses nothing, another with 21 and ratios of 1.9 to 79 in seven layers loses 67 points.
    Only measuring the repair shows what they cost. One scale per channel makes dead channels harmless; then nothing is
    reported.

What helps:
    `qdiag fix-bn` gives dead channels the mean variance of the live ones (MobileNetV1 under uint8 per tensor: top-1
    from 9.0 to 65.4 %, float unchanged), or replaces them by their constant. One scale per channel helps as well.

Sources:
    Sheng et al., arXiv 1803.08607, section 3; pytorch/vision issue 648 (the harmless case).
"""

import math

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.bn import BatchNormRecord
from qdiag.core.measures.records import WeightRecord
from qdiag.detectors.base import DetectionContext, finding, is_per_tensor

CODE = "QD301"
REPAIRS: tuple[str, ...] = ("reset_variance_mean", "reset_variance_constant", "per_channel_weights")

RANGE_OVER_LIVE = 1.0


def find(context: DetectionContext) -> Finding | None:
    """Layers with one scale per weight, stretched by dead channels.

    The channels are all dead ones of such a layer, as `qdiag fix-bn` repairs them: what holds the range together with
    the widest is no longer told apart once that one is gone. They are input channels of the layer where the BatchNorm
    stands before it, behind an activation for example.
    """
    sites = []
    after = [(record, norm, False) for record, _, norm in context.folded_norms()]
    before = [(record, norm, True) for record, _, norm in context.folded_norms(is_norm_first=True)]
    for record, norm, is_norm_first in (*after, *before):
        setting = [dead for dead in norm.dead if dead.range_over_live > RANGE_OVER_LIVE]
        if not setting or record.weight is None or not is_per_tensor(record):
            continue
        evidence = (
            Evidence("range_over_live", max(dead.range_over_live for dead in setting), "x", RANGE_OVER_LIVE),
            Evidence("bits_left", _bits_left(record.weight, norm), "bits", whole=record.weight.bits),
            Evidence("variance_over_eps", max(dead.variance_over_eps for dead in setting), "x"),
            Evidence("local_sqnr", record.local.sqnr_db, "dB"),
            Evidence("setting_channels", float(len(setting)), "channels", whole=norm.channels),
        )
        if is_norm_first:
            sites.append(FindingSite(record.name, (), evidence, inputs=norm.dead_channels))
        else:
            sites.append(FindingSite(record.name, norm.dead_channels, evidence))
    return finding(CODE, sites, REPAIRS)


def _bits_left(weight: WeightRecord, norm: BatchNormRecord) -> float:
    """Of the median live channel; the audit counts even steps."""
    bits, quantizer = norm.median_effective_bits, weight.quantizer
    if quantizer is None or quantizer.scale is not None or not quantizer.has_range or math.isnan(bits):
        return bits
    return quantizer.effective_bits(2.0 ** (bits - norm.bits), 1.0)
