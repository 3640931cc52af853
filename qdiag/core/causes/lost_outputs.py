"""Outputs that a verdict on answers does not speak of."""

from qdiag.core.causes.ranking import Score
from qdiag.core.measures.measurement import OutputRecord

SQNR_LIMIT_DB = 20.0
"""Noise of a tenth of the signal's amplitude: a proxy, where nothing else tells what an output is worth."""


def lost_beside_logits(score: Score) -> tuple[OutputRecord, ...]:
    """Outputs beside the logits that are below the limit, at their weakest part."""
    logits = next((o for o in score.outputs if len(o.shape) == 1 and o.shape[0] > 1), None)
    return tuple(o for o in score.outputs if o is not logits and o.weakest_sqnr_db < SQNR_LIMIT_DB)
