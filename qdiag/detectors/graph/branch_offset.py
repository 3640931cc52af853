"""The constants of parallel branches do not cancel the mean of the identity.

What it means:
    A block adds its input to the outputs of its convolutions, and the BatchNorms of these add a beta each. By the lemma
    of the source, training ends with each beta at half the mean of the input, with the opposite sign, so that the sum
    has a mean of zero. Where they have other values, every channel has a constant offset of its own, the range has to
    reach from the lowest to the highest, and the step is coarse beside what varies. The SQNR of the layer does not show
    it: a large constant has much power and carries no signal.

How it is computed:
    mean_over_std [x]: root mean square over channels of the mean of the sum, over that of its standard deviation
    beta_distance [x]: root mean square of beta + E(identity) / 2 over that of E(identity) / 2, of the branch that is
        nearest
    channel_rounding [dB]: what rounding alone leaves of the mean variance of the channels

Thresholds:
    It is reported where mean_over_std is at least 16 (four bits), beta_distance is above 0.5 for every branch, and
    channel_rounding is below 28 dB.

What helps:
    Without training, keep the sum and the branches before it in 16 bits or in float. In training, put a BatchNorm
    behind the sum (S4, QARepVGG), which removes the mean of every channel.

Sources:
    Chu et al., arXiv 2212.01593, section 3, the lemma on beta.
"""

import math
from statistics import fmean

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.branches import ALIGNED_DISTANCE, Activations
from qdiag.core.measures.branches.quantized import layers_of_block, rounding_db
from qdiag.detectors.base import LOCAL_HARM_DB, DetectionContext, finding

CODE = "QD410"
REPAIRS: tuple[str, ...] = ("activations_16bit", "keep_float")

MEAN_OVER_STD = 16.0


def find(context: DetectionContext) -> Finding | None:
    """Blocks whose sum lies far from zero, beside how much it varies, and whose beta is not where the lemma has it."""
    sites, records = list[FindingSite](), context.measurement.records
    for block in context.blocks:
        if block.alignment is None or not block.alignment.branches or block.output is None or block.norm is not None:
            continue
        nearest = min(branch.distance for branch in block.alignment.branches)
        offset = _mean_over_std(block.output)
        left = rounding_db(block, records, block.output, block.output.variance_mean)
        if offset >= MEAN_OVER_STD and nearest > ALIGNED_DISTANCE and left < LOCAL_HARM_DB:
            evidence = (
                Evidence("mean_over_std", offset, "x", MEAN_OVER_STD),
                Evidence("beta_distance", nearest, "x", ALIGNED_DISTANCE),
                Evidence("channel_rounding", left, "dB", LOCAL_HARM_DB),
            )
            sites += [FindingSite(name, (), evidence) for name in layers_of_block(block, records)]
    return finding(CODE, sites, REPAIRS)


def _mean_over_std(seen: Activations) -> float:
    power = fmean(value * value for value in seen.mean) if seen.mean else math.nan
    return math.sqrt(power / seen.variance_mean) if seen.variance_mean > 0.0 else math.nan
