"""All batches of a pass, or the part of them that this process runs beside others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from qdiag.batches import Batch, Batches, batches_between, run_through
from qdiag.core.progress import Progress
from qdiag.distributed.batch_sizes import batch_count, samples_before
from qdiag.distributed.collector import Collector, put_together
from qdiag.distributed.processes import Processes


@contextmanager
def divided(
    batches: Batches, progress: Progress, stage: str, collectors: Sequence[Collector], processes: Processes
) -> Iterator[Iterator[Batch]]:
    """The batches of this process, whole as one process would run them, so that every value is the same.

    After the block the collectors hold what those of all processes collected, as if one had run all batches. A process
    for which no batch is left runs the first one, which does not count.

    Raises:
        QdiagError: the first error inside the block among all processes, which is that of one that runs all batches.
    """
    if processes.count == 1:
        yield run_through(batches, progress, stage)
        return
    total = batch_count(batches)
    own, is_idle = processes.share(total), False
    if not own:
        own, is_idle = range(1), True
    for collector in collectors:
        collector.begins_at(batch=own.start, sample=samples_before(batches, own.start))
    try:
        yield _own(batches, own, progress, stage, is_last=own.stop == total and not is_idle)
    except Exception as error:
        put_together(processes, collectors, about=stage, is_idle=is_idle, error=error)
        raise
    put_together(processes, collectors, about=stage, is_idle=is_idle)
    progress.finish()


def _own(batches: Batches, own: range, progress: Progress, stage: str, *, is_last: bool) -> Iterator[Batch]:
    """Batches of these numbers, and all that follow the last one: data that make their own batches may have more of
    them than the largest one lets expect."""
    share = samples_before(batches, own.stop) - samples_before(batches, own.start)
    progress.start(stage, batches.sample_count)
    for batch in batches_between(batches, own.start, None if is_last else own.stop):
        yield batch
        progress.advance(batch.sample_count * batches.sample_count // max(share, 1))
