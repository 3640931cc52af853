"""An output goes through two quantizers of different scales before any operation reads it.

What it means:
    A file quantizes a tensor, dequantizes it, and quantizes it again with other numbers: behind a reshape, pooling or a
    slice, where parts of a network that were quantized apart are joined, or because a graph was quantized twice. The
    second rounding adds its noise, and what the first one clipped stays clipped.

How it is computed:
    quantizers [quantizers]: how many the values go through, one after the other
    local_sqnr [dB]: SQNR of the layer alone, quantized, with its inputs as the float network gives them

Thresholds:
    It is reported where two quantizers round differently and local SQNR is below 28 dB, as for most other findings.

What helps:
    Give all operations that only move the values of a tensor one and the same quantizer.

Sources:
    NVIDIA TensorRT, "Working with quantized types" (Q/DQ placement); onnxruntime, QDQ propagation.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses

CODE = "QD703"
REPAIRS: tuple[str, ...] = ("cover_range", "activations_16bit")

QUANTIZERS = 2.0


def find(context: DetectionContext) -> Finding | None:
    """Outputs with more than one quantizer, in layers that lose."""
    file = context.measurement.deployed
    counts = {layer.name: layer.output_count for layer in file.layers} if file is not None else {}
    sites = []
    for record, _ in context.layers:
        count = float(counts.get(record.name, 0))
        if count >= QUANTIZERS and loses(record):
            evidence = (Evidence("quantizers", count, "quantizers", QUANTIZERS), local_evidence(record))
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)
