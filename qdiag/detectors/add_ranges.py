"""An add of two inputs with very different ranges: the rounding of the wide one buries the narrow one.

What it means:
    In a residual network the sum grows from block to block, and so does the step of its quantizer. What a later block
    adds may be no larger than that step. Transformers with a few huge values in the residual stream are the extreme.

How it is computed:
    On the calibration data:

    range_ratio [x]: max |x| of the wider input / max |x| of the narrower
    branch_levels [steps]: max |x| of the narrower input / scale of the output

Thresholds:
    A ratio of at least 8 (three bits), fewer than 16 levels for the narrower input, and local SQNR below 28 dB. Inputs
    of zeros do not count.

What helps:
    16-bit activations for the residual stream, or the adds in float (ViT in int8: top-1 from 0 to 78.5 % by the adds
    alone).

Sources:
    alibaba/TinyNeuralNetwork issue 204; Bondarenko et al., arXiv 2109.12948.
"""

from qdiag.core.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses

CODE = "QD402"
REPAIRS: tuple[str, ...] = ("activations_16bit", "keep_float")

RANGE_RATIO = 8.0
BRANCH_LEVELS = 16.0


def find(context: DetectionContext) -> Finding | None:
    """Adds in which one input is buried."""
    sites = []
    for record, _ in context.layers:
        if record.kind not in ("add", "sub") or record.quantizer is None or not loses(record):
            continue
        widths = [s.range.max_abs for s in context.sources(record) if s.range is not None and s.range.max_abs > 0.0]
        if len(widths) < 2:
            continue
        over_narrower, levels = max(widths) / min(widths), min(widths) / record.quantizer.scale
        if over_narrower >= RANGE_RATIO and levels < BRANCH_LEVELS:
            evidence = (
                Evidence("range_ratio", over_narrower, "x", RANGE_RATIO),
                Evidence("branch_levels", levels, "steps", BRANCH_LEVELS),
                local_evidence(record),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)
