"""The first or the last layer with weights is binary or ternary.

What it means:
    The first layer has few input channels, so each output is a sum of few signs, and the last one computes the scores
    themselves, whose error no later layer averages out. Both hold few of the weights, so that low precision saves
    little memory there. Networks that are trained with binary weights keep these two layers at 8 bits or in float.

How it is computed:
    local_sqnr [dB]: of the layer alone, at the first and at the last layer with weights in the order of the graph,
        where the scheme makes the weight binary or ternary, not where it has two bits of even steps; a layer that is
        binary in the float network itself loses nothing by it
    weight_share [%]: its weights of all weights

Thresholds:
    It is reported where local SQNR is below 20 dB (noise of a tenth of the amplitude) and the network has at least
    three layers with weights.

What helps:
    Keep this layer in 8 bits or in float.

Sources:
    Courbariaux et al., arXiv 1602.02830, section 3 (the first layer on 8-bit inputs); Rastegari et al.,
    arXiv 1603.05279, section 3.1; Zhou et al., arXiv 1606.06160, section 2.7.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses, lowest

CODE = "QD108"
REPAIRS: tuple[str, ...] = ("eight_bits", "keep_float")

LOCAL_DB = 20.0


def find(context: DetectionContext) -> Finding | None:
    """The first layer, the last one, or both."""
    weighted = [(record, facts) for record, facts in context.layers if facts.weight is not None]
    if len(weighted) < 3:
        return None
    total = sum(facts.weight.count for _, facts in weighted if facts.weight is not None)
    sites = []
    for record, facts in (weighted[0], weighted[-1]):
        weight = record.weight
        if facts.signs is None or weight is None or weight.own_format is not None or not loses(record, LOCAL_DB):
            continue
        share = 100.0 * facts.weight.count / total if facts.weight is not None else 0.0
        evidence = (local_evidence(record, LOCAL_DB), Evidence("weight_share", share, "%"))
        sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS, worst=lowest)
