"""A mask value far below the attention scores sets the range of their sum.

What it means:
    Attention adds a large negative number to the scores of positions that must not count, and the softmax turns them
    into zeros. Any number well below the scores does that. With -1e4 or the lowest float, the sum spans so wide a range
    that all scores fall into one step of its quantizer, and the softmax weighs all positions alike.

How it is computed:
    These are measured on the calibration data, at an add whose output reaches a softmax. One input holds the scores;
    the other one, which may be a constant, never raises them:

    range_over_scores [x]: (maximum - minimum) of the sum / (maximum - minimum) of the scores
    score_levels [steps]: (maximum - minimum) of the scores / step of the quantizer of the sum

Thresholds:
    It is reported where the sum spans at least 4 times the scores and fewer than 64 levels are left for the scores. A
    mask value just below the lowest score widens the range little.

What helps:
    Use a mask value just below the lowest score. It costs nothing: the softmax of such a position is below half a step
    of its own quantizer. The repair sets the lower end of the quantizer's range there; in the model, change the number.

Sources:
    microsoft/Olive pull request 1597 and pytorch/executorch pull request 8736 replace masks of the lowest float before
    they quantize.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.ranges import TensorRange
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, finding, holds_range, ratio

CODE = "QD206"
REPAIRS: tuple[str, ...] = ("bound_mask", "activations_16bit", "keep_float")

RANGE_OVER_SCORES = 4.0
SCORE_LEVELS = 64.0


def find(context: DetectionContext) -> Finding | None:
    """Sums of scores and a mask on their way to a softmax."""
    sites = []
    for record, _ in context.layers:
        scores = _scores(context, record)
        if scores is None or record.range is None or record.quantizer is None or not holds_range(record):
            continue
        width = scores.max - scores.min
        over_scores = ratio(record.range.max - record.range.min, width)
        levels = record.quantizer.steps_between(scores.min, scores.max)
        few = record.quantizer.steps_limit(SCORE_LEVELS)
        if over_scores >= RANGE_OVER_SCORES and levels < few:
            evidence = (
                Evidence("range_over_scores", over_scores, "x", RANGE_OVER_SCORES),
                Evidence("score_levels", levels, "steps", few, record.quantizer.level_count - 1.0),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _scores(context: DetectionContext, record: OpRecord) -> TensorRange | None:
    """Range of the scores that a masking add reads; None for any other layer. The mask may be a constant."""
    if record.kind != "add" or record.range is None or not _reaches_softmax(context, record):
        return None
    sources = [source.range for source in context.sources(record) if source.range is not None]
    scores = max(sources, key=lambda seen: seen.max, default=None)
    if scores is None or not record.range.max <= scores.max + 0.01 * (scores.max - scores.min):
        return None  # what is added raises some of the scores: it is no mask
    return scores


def _reaches_softmax(context: DetectionContext, record: OpRecord) -> bool:
    """Directly, or through layers that only move values."""
    readers = context.readers(record)
    return any(r.kind == "softmax" or (r.kind == "pass" and _reaches_softmax(context, r)) for r in readers)
