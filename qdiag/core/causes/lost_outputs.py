"""Outputs, or parts of one, that a verdict on a figure does not speak of."""

from qdiag.core.causes.score import Score
from qdiag.core.measures.measurement import OutputRecord

SQNR_LIMIT_DB = 20.0
"""Noise of a tenth of the signal's amplitude: a proxy, where nothing else tells what an output is worth."""


def lost_outputs(score: Score) -> tuple[OutputRecord, ...]:
    """Outputs below the limit at their weakest part, of which the figure that judges may not speak.

    Those beside the judged one; of a regression that one too where it has parts, whose mean error need not show that
    one of them is lost.
    None where all outputs are judged, by a metric of the user's or by their SQNR.
    """
    judged = score.task.choice.output if score.task.figures else ""
    is_mean_of_parts = score.task.choice.kind == "regress" and score.task.choice.reason != "metric"
    return tuple(
        o
        for o in score.outputs
        if judged
        and (o.name != judged or (is_mean_of_parts and o.weakest is not None))
        and o.weakest_sqnr_db < SQNR_LIMIT_DB
    )
