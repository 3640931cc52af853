"""Operations of a pass that has nothing to run."""

from qdiag.batches import Batch
from qdiag.simulate.passes.batch_rows import rows
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.sinks import OperationCounts

_SAMPLES = 2
"""A batch of them has the operations of any other."""


def count_operations(runner: LaneRunner, batch: Batch, effort: OperationCounts) -> None:
    """Where the outputs of all batches are held: by two samples of one, unless the network takes none but whole ones.

    Args:
        effort: takes what is counted.
    """
    if runner.network.program.batch_size is None:
        batch = rows(batch, range(min(_SAMPLES, batch.sample_count)))
    runner.beside([], effort).run_batch(batch)
