"""The bias is rounded so coarsely that the output moves.

What it means:
    The integer bias has the step `scale_in * scale_w` of the products. Usually that is a hundred times finer than the
    step of the output. It is not where a few large products make a small output, with few bits, or in a channel of
    zeros, whose `scale_w` is set to 1: then the bias itself, often all that such a channel has, is rounded.

How it is computed:
    step_over_scale [x]: step / scale_out, with step = scale_in * scale_w of the channel where it is largest
    share_of_noise [%]: step^2 / 12, the noise power that rounding with this step makes, over that of the layer alone

    Rounding of the bias is off by up to half a step: a constant error that the output's rounding cannot undo.

Thresholds:
    It is reported where step_over_scale is at least 0.5, from where on rounding of the bias alone can move the output
    by one of its steps, share_of_noise is at least 25 %, and local SQNR is below 28 dB. The share tells a coarse bias
    from weights that are coarse themselves: in a MobileNetV1 whose dead channels set the range, a step of 1.1 has 0.02
    % of the noise.

What helps:
    Keep the bias in float, or at a finer scale where the backend has one.

Sources:
    Jacob et al., arXiv 1712.05877, eq. 11; onnxruntime issue 11415.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses, ratio

CODE = "QD105"
REPAIRS: tuple[str, ...] = ("float_bias", "per_channel_weights", "keep_float")

STEP_OVER_SCALE = 0.5
SHARE_PERCENT = 25.0


def find(context: DetectionContext) -> Finding | None:
    """Layers whose bias is coarser than their output."""
    sites = []
    for record, facts in context.layers:
        bias = facts.bias
        if bias is None or record.quantizer is None or not loses(record):
            continue
        step = bias.step_over_scale * record.quantizer.step_at(0.0)
        percent = 100.0 * ratio(step**2 / 12.0, record.local.mse)
        if bias.step_over_scale >= STEP_OVER_SCALE and percent >= SHARE_PERCENT:
            evidence = (
                Evidence("step_over_scale", bias.step_over_scale, "x", STEP_OVER_SCALE),
                Evidence("share_of_noise", percent, "%", SHARE_PERCENT),
                local_evidence(record),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)
