"""A ReLU reads values that were quantized for a wider range.

What it means:
    Where a convolution and its ReLU are one operation, one quantizer after the ReLU serves both. Where the output of
    the convolution is quantized first, because something else reads it or the export set a quantizer there, its step
    has to cover the negative values that the ReLU then sets to zero.

How it is computed:
    step_over_needed [x]: scale of the quantizer before the clamp / scale of the one after it; of uneven levels, the
        steps at the upper end of the clamp

Thresholds:
    It is reported where step_over_needed is at least 4 (two bits) and local SQNR of the clamp is below 28 dB. Values as
    wide below zero as above have 2, and are common where a sum is read by a ReLU and by the next sum.

What helps:
    Use one quantizer after the ReLU: remove what else reads the layer, or the quantizer between them. Where neither is
    possible, keep the two layers in 16 bits or in float.

Sources:
    Jacob et al., arXiv 1712.05877, section 2.4; Sheng et al., arXiv 1803.08607, section 2 (re-quantization).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer, holds_range, local_evidence, loses

CODE = "QD403"
REPAIRS: tuple[str, ...] = ("activations_16bit", "keep_float")

STEP_OVER_NEEDED = 4.0


def find(context: DetectionContext) -> Finding | None:
    """Layers before a clamp of their own, with a much coarser quantizer than it needs."""
    sites = []
    for record, _ in context.layers:
        if record.kind != "clamp" or record.quantizer is None or not holds_range(record) or not loses(record):
            continue
        for source in context.sources(record):
            if source.quantizer is None or not has_own_quantizer(source):
                continue
            top = record.quantizer.range_max
            step = source.quantizer.step_at(top) / record.quantizer.step_at(top)
            if step >= STEP_OVER_NEEDED:
                evidence = (Evidence("step_over_needed", step, "x", STEP_OVER_NEEDED), local_evidence(record))
                sites += [FindingSite(source.name, (), evidence), FindingSite(record.name, (), evidence)]
    return finding(CODE, sites, REPAIRS)
