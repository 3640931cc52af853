"""Layers that alone cost most of the loss, where the suspect that seemed to explain it turned out to be no cause."""

import math
from collections.abc import Sequence

from qdiag.core.causes.findings import Finding
from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import Trial
from qdiag.core.causes.score import Score
from qdiag.rank.claim import is_claim
from qdiag.rank.suspects import BY_SWEEP, Suspect

_MOST = 0.5
"""Share of the loss that has to be left before layers are tried for no other reason than what they cost alone."""
Tried = tuple[Suspect, tuple[Trial, ...]]


def unexplained_suspect(
    findings: Sequence[Finding], before: Score, tried: Sequence[Tried], repaired: Score | None
) -> Suspect | None:
    """A suspect of the layers that cost half of the loss alone, while nothing that was tried repairs half of it.

    None where the network is not harmed, where a suspect's own repair or the sequence of repairs leaves less than half
    of the loss, and where all such layers were tried in this way already. It takes the place of a suspect of some of
    these layers: with one of them repaired, the others lose as much.

    Args:
        tried: every suspect with its trials. repaired: with all repairs of the sequence; None without one.
    """
    found = next((finding for finding in findings if finding.code == BY_SWEEP), None)
    if found is None or harm_of(before).verdict != "harmed":
        return None
    helping = [trial.after for _, trials in tried for trial in trials if is_claim(trial)]
    if any(_share_left(before, after) < _MOST for after in (*helping, repaired) if after is not None):
        return None
    if all(_was_tried(site.layer, found.repairs, tried) for site in found.sites):
        return None
    return Suspect(BY_SWEEP, "output", list(found.sites), list(found.repairs))


def _was_tried(layer: str, repairs: Sequence[str], tried: Sequence[Tried]) -> bool:
    """All these repairs were measured there."""
    own = [trials for suspect, trials in tried if any(site.layer == layer for site in suspect.sites)]
    return set(repairs) <= {trial.repair for trials in own for trial in trials if trial.recovery is not None}


def _share_left(before: Score, after: Score) -> float:
    """Of what was lost: by the figure that judges, otherwise of the noise power at the weakest output."""
    if before.task.judged is None or after.task.judged is None:
        return math.pow(10.0, (before.output_sqnr_db - after.output_sqnr_db) / 10.0)
    lost = before.task.judged.loss
    return after.task.judged.loss / lost if lost > 0.0 and not math.isinf(lost) else math.nan
