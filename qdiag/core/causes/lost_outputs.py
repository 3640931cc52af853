"""Outputs that a verdict on one of them does not speak of."""

from qdiag.core.causes.score import Score
from qdiag.core.measures.measurement import OutputRecord

SQNR_LIMIT_DB = 20.0
"""Noise of a tenth of the signal's amplitude: a proxy, where nothing else tells what an output is worth."""


def lost_outputs(score: Score) -> tuple[OutputRecord, ...]:
    """Outputs beside the judged one that are below the limit, at their weakest part; none where all are judged."""
    judged = score.task.choice.output if score.task.figures else ""
    return tuple(o for o in score.outputs if judged and o.name != judged and o.weakest_sqnr_db < SQNR_LIMIT_DB)
