"""The scales of a weight stand along another axis than its output channels.

What it means:
    A file says along which axis a weight has its scales. Where it is not that of the output channels, sums of products
    have no scale in common, and runtimes compute the layer in float. Where the axis is right and the scales were
    computed along another one, as happens with square weights and with `Gemm` and `MatMul`, whose weights are stored
    transposed, each channel is rounded and clipped with the range of another.

How it is computed:
    axis: that of the scales in the file, where it is not that of the output channels
    own_misfit [%]: how far the largest weight that a channel's integers can hold lies from the largest |weight| of the
        channel, in percent of the latter, in the median over the channels
    other_misfit [%]: the same along the other axis, where that is as long

Thresholds:
    It is reported where the file names another axis, or where own_misfit is at least 20 % and other_misfit at most 2 %.
    A range from minimum to maximum fits to a fraction of a step, so the limits need not be exact.

What helps:
    Compute the scales of the float weights along the output channels.

Sources:
    ONNX, DequantizeLinear (`axis`); onnxruntime, `quantize_static` with `per_channel` (axis 0 of Conv, 1 of MatMul).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding

CODE = "QD701"
REPAIRS: tuple[str, ...] = ("cover_weights", "per_channel_weights", "keep_float")

MISFIT_PERCENT = 20.0
FIT_PERCENT = 2.0


def find(context: DetectionContext) -> Finding | None:
    """Layers whose weight has scales along another axis, or those of another axis."""
    file, sites = context.measurement.deployed, []
    for layer in file.layers if file is not None else ():
        if layer.scale_axis is None:
            continue
        if layer.scale_axis != layer.weight_axis:
            sites.append(FindingSite(layer.name, (), (Evidence("axis", float(layer.scale_axis)),)))
            continue
        own, other = layer.own_misfit_percent, layer.other_misfit_percent
        if own is not None and other is not None and own >= MISFIT_PERCENT and other <= FIT_PERCENT:
            evidence = (
                Evidence("own_misfit", own, "%", MISFIT_PERCENT),
                Evidence("other_misfit", other, "%", FIT_PERCENT),
            )
            sites.append(FindingSite(layer.name, (), evidence))
    return finding(CODE, sites, REPAIRS)
