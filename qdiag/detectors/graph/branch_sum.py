"""The sum of parallel branches varies far more in some channels than in others, though the branches do not.

What it means:
    In some channels the branches of a block are positively correlated, and the variance of their sum is up to as many
    times the sum of their variances as there are branches; in others they cancel each other. One scale for the tensor
    is then set by the first kind, and the second is left with few levels. Where the branches are quantized one by one,
    the rounding noise of all of them is added.

How it is computed:
    spread_added [x]: largest variance of a channel over the median one, of the sum, over the largest such ratio of a
        branch
    inflation [x]: variance of the sum over the sum of the branches' variances, in the channel that varies most
    channel_rounding [dB]: what rounding alone leaves of the median channel's variance

Thresholds:
    It is reported where spread_added is at least 16 (two bits), inflation is at least 1.5, and channel_rounding is
    below 28 dB. Uncorrelated branches have an inflation of 1, and k equal branches have one of k.

What helps:
    Without training, keep the sum and the branches before it in 16 bits or in float. Fused into one convolution, the
    block can be equalized with the layer after it, which `qdiag branches` tries. In training, put a BatchNorm behind
    the sum (S4, QARepVGG): it gives all channels the variance that they are meant to have.

Sources:
    Chu et al., arXiv 2212.01593, section 3.
"""

import math
from statistics import median

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.branches import Activations
from qdiag.core.measures.branches.quantized import layers_of_block, rounding_db
from qdiag.detectors.base import LOCAL_HARM_DB, DetectionContext, finding

CODE = "QD409"
REPAIRS: tuple[str, ...] = ("activations_16bit", "keep_float")

SPREAD_ADDED = 16.0
INFLATION = 1.5


def find(context: DetectionContext) -> Finding | None:
    """Blocks in which the sum makes channels unequal that were alike."""
    sites, records = list[FindingSite](), context.measurement.records
    for block in context.blocks:
        parts = [branch.activations for branch in block.branches]
        known = [part for part in parts if part is not None and part.variance]
        if block.sum is None or len(known) < len(parts) or len(known) < 2:
            continue
        added, inflation = _spread(block.sum) / max(map(_spread, known)), _inflation(block.sum, known)
        left = rounding_db(block, records, block.sum, median(block.sum.variance))
        if added >= SPREAD_ADDED and inflation >= INFLATION and left < LOCAL_HARM_DB:
            evidence = (
                Evidence("spread_added", added, "x", SPREAD_ADDED),
                Evidence("inflation", inflation, "x", INFLATION),
                Evidence("channel_rounding", left, "dB", LOCAL_HARM_DB),
            )
            sites += [FindingSite(name, (), evidence) for name in layers_of_block(block, records)]
    return finding(CODE, sites, REPAIRS)


def _spread(seen: Activations) -> float:
    """Largest variance of a channel over the median one."""
    middle = median(seen.variance)
    return max(seen.variance) / middle if middle > 0.0 else math.inf


def _inflation(whole: Activations, parts: list[Activations]) -> float:
    channel = whole.variance.index(max(whole.variance))
    total = math.fsum(part.variance[channel] for part in parts)
    return whole.variance[channel] / total if total > 0.0 else math.nan
