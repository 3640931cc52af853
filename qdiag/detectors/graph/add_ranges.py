"""An add has two inputs with very different ranges, and the step for the wide one is too coarse for the narrow one.

What it means:
    In a residual network the sum grows from block to block, and so does the step of its quantizer. What a later block
    adds may be no larger than that step. Transformers with a few huge values in the residual stream are the extreme
    case.

How it is computed:
    These are measured on the calibration data:

    range_ratio [x]: max |x| of the wider input / max |x| of the narrower
    branch_levels [steps]: max |x| of the narrower input / scale of the output; of uneven levels, / the step at the root
        mean square of the output
    branch_sqnr [dB]: 10 log10( 12 mean(x^2) / scale^2 ) of the narrower input, at the scale of the output; of uneven
        levels, mean(x^2) over the noise that rounding of the output makes

Thresholds:
    It is reported where range_ratio is at least 8 (three bits), the narrower input has fewer than 16 levels, and local
    SQNR is below 28 dB or the narrower input keeps less than 10 dB: the wide one has nearly all of the power, and the
    SQNR of the sum does not show what the narrow one loses. Inputs of zeros do not count.

What helps:
    Use 16-bit activations for the residual stream, or compute the adds in float (ViT in int8: top-1 from 0 to 78.5 % by
    the adds alone).

Sources:
    alibaba/TinyNeuralNetwork issue 204; Bondarenko et al., arXiv 2109.12948.
"""

import math

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import (
    LOCAL_HARM_DB,
    DetectionContext,
    finding,
    holds_range,
    local_evidence,
    loses,
    sqnr_limit_db,
)

CODE = "QD402"
REPAIRS: tuple[str, ...] = ("activations_16bit", "keep_float")

RANGE_RATIO = 8.0
BRANCH_LEVELS = 16.0
BRANCH_DB = 10.0


def find(context: DetectionContext) -> Finding | None:
    """Adds in which one input is buried."""
    sites = []
    for record, _ in context.layers:
        if record.kind not in ("add", "sub") or record.quantizer is None or not holds_range(record):
            continue
        sources = [s.range for s in context.sources(record) if s.range is not None and s.range.max_abs > 0.0]
        if len(sources) < 2 or record.range is None:
            continue
        narrow, quantizer = min(sources, key=lambda seen: seen.max_abs), record.quantizer
        over_narrower = max(seen.max_abs for seen in sources) / narrow.max_abs
        levels = narrow.max_abs / quantizer.step_at(math.sqrt(record.range.power))
        noise = quantizer.expected_noise_power(record.range, record.range.power)
        branch_db = 10.0 * math.log10(narrow.power / noise) if narrow.power > 0.0 else math.nan
        is_buried = loses(record, sqnr_limit_db(record, LOCAL_HARM_DB)) or branch_db < BRANCH_DB
        if over_narrower >= RANGE_RATIO and levels < BRANCH_LEVELS and is_buried:
            evidence = (
                Evidence("range_ratio", over_narrower, "x", RANGE_RATIO),
                Evidence("branch_levels", levels, "steps", BRANCH_LEVELS, quantizer.level_count - 1.0),
                Evidence("branch_sqnr", branch_db, "dB", BRANCH_DB),
                local_evidence(record),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)
