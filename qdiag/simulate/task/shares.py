"""Figures that are shares of samples: each sample is a success or none."""

from dataclasses import replace

from qdiag.core.measures.counts import counts_figure
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits
from qdiag.core.measures.task import Criterion, Figure, PairedCounts
from qdiag.simulate.task.base import Gain, Table


def share_figure(criterion: Criterion, *, reference: Table, simulated: Table, keeps_outcomes: bool = True) -> Figure:
    """Percent of successes of both networks; the interval of the loss is of Bonett & Price.

    Where the float network has no failure by definition, it is the Wilson score interval of the failures instead.

    Args:
        reference, simulated: 1 for a success and 0 for none, (N, 1).
    """
    counts = pairs_of(reference=reference, simulated=simulated)
    outcomes = SampleOutcomes(
        counts.sample_count,
        "" if criterion.is_against_float else pack_bits(bool(x) for x in reference[:, 0]),
        pack_bits(bool(x) for x in simulated[:, 0]),
    )
    figure = counts_figure(criterion, counts)
    return replace(figure, outcomes=outcomes) if keeps_outcomes and counts.sample_count else figure


def share_gain(*, before: Table, after: Table) -> Gain:
    """Points that `after` has over `before`."""
    pairs = pairs_of(reference=after, simulated=before)
    return Gain(pairs.drop_pp, pairs.drop_interval_pp, pairs)


def pairs_of(*, reference: Table, simulated: Table) -> PairedCounts:
    """Counts of the successes of both, sample by sample."""
    r, s = reference[:, 0] > 0.5, simulated[:, 0] > 0.5
    return PairedCounts(int((r & s).sum()), int((r & ~s).sum()), int((~r & s).sum()), int((~r & ~s).sum()))
