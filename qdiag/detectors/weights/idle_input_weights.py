"""Large weights on input channels that carry nothing set the range of all others.

What it means:
    A channel that is zero for every sample, or constant, costs the float network nothing, however large the weights are
    that read it: training has no reason to make them small. The quantizer includes them all the same in the range of
    their output channel, or of the whole tensor, and the other weights are left with few steps.

How it is computed:
    What the layer reads is looked at on the measured data. A channel carries nothing when the most that its range
    allows is below 1e-8 of the variance of every output of its group. A constant counts as moving where zeros are
    padded around it. Input and output channels that a BatchNorm beside the layer says are dead (QD301) are left out.

    range_over_others [x]: max |W| / max |W| over inputs that carry something; the median over output channels where
        each has its own scale, else that of the tensor
    idle_inputs [channels]: how many of them have weights beyond the others' range

Thresholds:
    It is reported where range_over_others is at least 4 (two bits) and local SQNR, of the layer or of its median
    channel (channel_sqnr), is below 28 dB. Without such channels range_over_others is 1.

What helps:
    Clip those weights to the range of the others. What they multiply never moves, so the float network computes what it
    did; a constant goes into the bias. Where training goes on, remove the channels. One scale per channel does not help
    where every output channel reads them.

Sources:
    Banner et al., arXiv 1810.05723, section 2 (what clipping costs is weighed by what is clipped); Nagel et al., arXiv
    2004.10568, section 3 (a weight's error counts with the second moment of its input).
"""

from collections.abc import Sequence

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.facts import InputFacts
from qdiag.detectors.base import (
    LOCAL_HARM_DB,
    DetectionContext,
    channel_evidence,
    finding,
    is_per_tensor,
    loses,
    median_or_nan,
    ratio,
)

CODE = "QD107"
REPAIRS: tuple[str, ...] = ("clip_idle_weights", "keep_float")

RANGE_OVER_OTHERS = 4.0


def find(context: DetectionContext) -> Finding | None:
    """Layers whose weight range is set where nothing comes in."""
    dead = {record.name: set(norm.dead_channels) for record, _, norm in context.folded_norms(is_norm_first=True)}
    sites = []
    for record, facts in context.layers:
        if facts.inputs is None or facts.weight is None or record.weight is None:
            continue
        idle = tuple(c for c in facts.inputs.idle if c not in dead.get(record.name, ()))
        is_harmed = loses(record) or facts.channel_sqnr_db_median < LOCAL_HARM_DB
        if not idle or not is_harmed:
            continue
        live = context.live_channels(record, facts.weight.channel_max_abs)
        over_others = _over_others(facts.weight.channel_max_abs, facts.inputs, live, is_per_tensor(record))
        if over_others >= RANGE_OVER_OTHERS:
            evidence = (
                Evidence("range_over_others", over_others, "x", RANGE_OVER_OTHERS),
                Evidence("idle_inputs", float(len(idle)), "channels"),
                channel_evidence(record, facts),
            )
            sites.append(FindingSite(record.name, (), evidence, inputs=idle))
    return finding(CODE, sites, REPAIRS)


def _over_others(widths: Sequence[float], inputs: InputFacts, live: Sequence[int], has_one_scale: bool) -> float:
    pairs = [(widths[c], inputs.others_max_abs[c]) for c in live]
    if has_one_scale:
        return ratio(max((width for width, _ in pairs), default=0.0), max((other for _, other in pairs), default=0.0))
    return median_or_nan(width / other for width, other in pairs if other > 0.0)
