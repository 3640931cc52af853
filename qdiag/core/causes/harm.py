"""Whether quantization costs anything at all, from what was measured of the untreated network."""

import math

from qdiag.core.causes.lost_outputs import SQNR_LIMIT_DB
from qdiag.core.causes.ranking import Harm, HarmVerdict
from qdiag.core.causes.score import Score
from qdiag.core.measures.task import UNDEFINED


def harm_of(score: Score) -> Harm:
    """The loss of the figure by which the network is judged, output SQNR where there is none.

    Harmed: the figure passes its limit and its 95 % interval excludes no harm at all. Undecided: it passes the limit,
    but the samples are too few to tell. NaN counts as harm: a network that answers NaN has lost everything. Without
    any float output there is nothing to judge by.
    """
    judged = score.task.judged
    if judged is not None and judged.sample_count:
        return Harm.of_figure(judged)
    if is_silent(score):
        return Harm(None, math.nan, UNDEFINED, SQNR_LIMIT_DB, "undecided")
    sqnr = score.output_sqnr_db
    verdict: HarmVerdict = "healthy" if sqnr >= SQNR_LIMIT_DB else "harmed" if score.outputs else "undecided"
    return Harm(None, sqnr, UNDEFINED, SQNR_LIMIT_DB, verdict)


def is_silent(score: Score) -> bool:
    """The float network gave numbers, and all of them are zero: without a signal there is nothing to lose."""
    errors = [output.error for output in score.outputs]
    seen = sum(error.count for error in errors)
    return seen > 0 and not any(error.reference_sq_sum or error.reference_nonfinite_count for error in errors)
