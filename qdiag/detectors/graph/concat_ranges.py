"""A concat has inputs with very different ranges, and the small ones are left with few levels.

What it means:
    The output of a concat has one scale, made for its widest input. Scores between 0 and 1 beside box coordinates up to
    675 are all rounded to 0.

How it is computed:
    These are measured on the calibration data:

    range_ratio [x]: max |x| of the widest input / max |x| of the narrowest
    branch_levels [steps]: max |x| of the narrowest input / scale of the output

Thresholds:
    It is reported where range_ratio is at least 8 (three bits) and the narrowest input has fewer than 16 levels. Inputs
    of zeros and constants, such as the class token of a transformer, do not count. Where levels are uneven, and closer
    to each other near zero, the limit is fewer than 3 of them.

What helps:
    At an output of the network, split the concat: every branch becomes an output with its own quantizer, and they are
    joined after the network. This adds nothing to the integer network. 16-bit activations help as well, and so does the
    concat in float. In the model, coordinates can be divided by the image size, where all branches then end in the same
    range.

Sources:
    ultralytics issue 25524 (RKNN: all scores 0; 558 after normalizing boxes); tensorflow issue 37544.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, holds_range

CODE = "QD401"
REPAIRS: tuple[str, ...] = ("split_concat", "activations_16bit", "keep_float")

RANGE_RATIO = 8.0
BRANCH_LEVELS = 16.0


def find(context: DetectionContext) -> Finding | None:
    """Concats in which one input is rounded away."""
    sites = []
    for record, _ in context.layers:
        if record.kind != "concat" or record.quantizer is None or not holds_range(record):
            continue
        inputs = context.sources(record)
        widths = [source.range.max_abs for source in inputs if source.range and source.range.max_abs > 0.0]
        if len(widths) < 2:
            continue
        over_narrowest, levels = max(widths) / min(widths), record.quantizer.steps_between(0.0, min(widths))
        few = record.quantizer.steps_limit(BRANCH_LEVELS)
        if over_narrowest >= RANGE_RATIO and levels < few:
            evidence = (
                Evidence("range_ratio", over_narrowest, "x", RANGE_RATIO),
                Evidence("branch_levels", levels, "steps", few, record.quantizer.level_count - 1.0),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)
