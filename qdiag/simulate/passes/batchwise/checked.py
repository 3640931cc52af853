"""A pass on a GPU: each batch is collected as if all values were finite, and again where some are not."""

from collections.abc import Callable

from qdiag.batches import Batch
from qdiag.numerics.waiting import assuming_finite
from qdiag.simulate.passes.batchwise.heads import Heads
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.sinks import Outputs

Run = Callable[[LaneRunner, Heads], Outputs]
"""Runs one batch, and hands over what it gives."""


class CheckedBatches:
    """Runs batches one by one; after each the heads hold what was collected so far.

    Args:
        first: numbers of the first batch that comes, and of its first sample, in the whole data.
    """

    def __init__(self, runner: LaneRunner, heads: Heads, *, first: tuple[int, int]) -> None:
        self._runner, self._heads, self._pristine = runner, heads, heads.copied()
        (self._batch, self._sample), self._is_careful = first, False

    def run(self, batch: Batch, run: Run) -> Outputs:
        """The processor waits once, to hear whether all was finite; where it was not, later batches are not trusted."""
        if self._is_careful:
            own, outputs = self._once(run)
        else:
            with assuming_finite() as checks:
                own, outputs = self._once(run)
            if not checks.hold():
                self._is_careful = True
                own, outputs = self._once(run)
        self._heads.merge(own)
        self._batch, self._sample = self._batch + 1, self._sample + batch.sample_count
        return outputs

    def _once(self, run: Run) -> tuple[Heads, Outputs]:
        own = self._pristine.copied()
        own.begin_at(self._batch, self._sample)
        return own, run(self._runner.beside(own.observers, own.effort), own)
