"""Why something did not come out, as far as the results of an experiment tell; what several experiments ask."""

import math

from qdiag.core.reproductions.expectations import Judged, Reason, mean_of
from qdiag.core.reproductions.reproduction import Reproduction

_FALLS_BY = 0.1
"""Share of its loss that a training gains in its last quarter, from which on it was not done."""


def is_missed(judged: Judged) -> bool:
    """The mean itself is not what was expected, so that more than the number of seeds is in the way."""
    mean, bound = judged.mean, judged.expectation.bound
    if judged.expectation.kind == "close":
        return abs(mean) > bound
    return mean <= bound if judged.expectation.kind == "more" else mean >= bound


def diverged(result: Reproduction, judged: Judged) -> tuple[Reason, ...]:
    """A training diverged, so that figures that are compared here are missing in some seeds."""
    places = (judged.expectation.left, judged.expectation.right)
    rows = {place.row for place in places if place is not None} | {""}
    count = sum(any(one.row in rows for one in seed.diverged) for seed in result.seeds)
    return (Reason("diverged", {"count": count, "seeds": len(result.seeds)}),) if count else ()


def spread(result: Reproduction, judged: Judged) -> tuple[Reason, ...]:
    """The seeds differ by more than what was to be told."""
    image = 100.0 / result.run.images.test_count
    if judged.outcome != "undecided" or not math.isfinite(judged.margin) or judged.margin <= image:
        return ()
    return (Reason("spread", {"margin_pp": judged.margin, "image_pp": image, "seeds": len(result.seeds)}),)


def unfinished(result: Reproduction, drawing: str, row: str) -> tuple[Reason, ...]:
    """The loss of a variant still fell at the end of its training."""
    curves = [c.values for s in result.seeds for c in s.curves if (c.drawing, c.row) == (drawing, row)]
    if not curves or min(map(len, curves)) < 4:
        return ()
    before = mean_of([values[-1 - len(values) // 4] for values in curves])
    last = mean_of([values[-1] for values in curves])
    if not before > 0.0 or last > (1.0 - _FALLS_BY) * before:
        return ()
    return (Reason("unfinished", {"before": before, "last": last, "epochs": len(curves[0])}),)
