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
    any float output there is nothing to judge by, nor where all of them are zero: answers drawn from zeros are all the
    same one, and quantization cannot change them.
    """
    if score.is_silent:
        return Harm(None, math.nan, UNDEFINED, SQNR_LIMIT_DB, "undecided")
    judged = score.task.judged
    if judged is not None and judged.sample_count:
        return Harm.of_figure(judged)
    sqnr = score.output_sqnr_db
    verdict: HarmVerdict = "healthy" if sqnr >= SQNR_LIMIT_DB else "harmed" if score.outputs else "undecided"
    return Harm(None, sqnr, UNDEFINED, SQNR_LIMIT_DB, verdict)
