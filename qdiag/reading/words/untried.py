"""Findings that no repair was tried on: facts beside the causes."""

from qdiag.core.causes.findings import Finding
from qdiag.core.causes.ranking import Ranking

_BY_SWEEP = "QD407"
"""What layers cost alone: the suspect at a layer, whatever it is, was tried for that reason too."""


def untried_findings(ranking: Ranking) -> tuple[Finding, ...]:
    """Those with a layer, or as a whole, that belongs to no suspect."""
    suspected = {(f.code, layer) for cause in ranking.causes for f in cause.findings for layer in f.layers}
    suspected |= {(_BY_SWEEP, layer) for cause in ranking.causes if cause.trials for layer in cause.layers}
    return tuple(f for f in ranking.findings if not {(f.code, layer) for layer in f.layers} <= suspected or not f.sites)
