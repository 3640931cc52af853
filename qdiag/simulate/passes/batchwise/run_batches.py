"""A pass over all batches of a data set: one after another, by several threads, or by several processes."""

from collections.abc import Mapping, Sequence
from functools import partial

from qdiag.batches import Batch, Batches
from qdiag.core.progress import Progress
from qdiag.distributed.batch_sizes import batch_count, samples_before
from qdiag.distributed.collector import Collector
from qdiag.distributed.divided import divided
from qdiag.distributed.processes import ONE, Processes
from qdiag.numerics.waiting import is_at_hand
from qdiag.simulate.passes.batchwise.checked import CheckedBatches
from qdiag.simulate.passes.batchwise.counted import count_operations
from qdiag.simulate.passes.batchwise.heads import Heads
from qdiag.simulate.passes.batchwise.kept_outputs import KeptOutputs
from qdiag.simulate.passes.batchwise.lane_outputs import LaneOutputs
from qdiag.simulate.passes.batchwise.threads import run_in_threads, thread_count
from qdiag.simulate.passes.lanes import REFERENCE, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.sinks import BatchSink, Outputs, collectors_of, hand_over


def run_batches(
    runner: LaneRunner,
    batches: Batches,
    progress: Progress,
    *,
    stage: str,
    sinks: Mapping[int, Sequence[BatchSink]] | None = None,
    beside: Sequence[Collector] = (),
    processes: Processes = ONE,
    kept: KeptOutputs | None = None,
    lanes: LaneOutputs | None = None,
) -> None:
    """Runs all batches, handing the outputs of each to the sinks of each lane.

    Several processes run a part each; then every one has what all of them saw. Where one process has several threads,
    these take the batches by turns.

    Args:
        beside: collectors that the sinks share.
        kept: outputs of the reference, in place of those of the first lane where they are held; others are added.
        lanes: the same of all lanes that receive outputs.
    """
    heads = Heads(runner.observers, beside, sinks or {}, runner.effort)
    if processes.count == 1 and (threads := thread_count(runner, heads, batches)) > 1:
        run_in_threads(runner, heads, batches, progress, stage, kept, lanes, threads)
        return
    collectors = collectors_of(heads.all) if processes.count > 1 else ()
    is_checked = not is_at_hand(runner.network.device) and runner.can_run_again and heads.fits_threads
    checked = CheckedBatches(runner, heads, first=_first(batches, processes)) if is_checked else None
    count, is_held = 0, lanes is not None and lanes.is_complete
    with divided(batches, progress, stage, collectors, processes) as own:
        for count, batch in enumerate(own, 1):
            if is_held and count == 1:
                count_operations(runner, batch, runner.effort)
            known = lanes.get(count - 1) if lanes is not None else None
            given = kept.get(count - 1) if kept is not None else None
            run = partial(_collected, batch, known, given)
            outputs = checked.run(batch, run) if checked is not None else run(runner, heads)
            if lanes is not None and known is None:
                lanes.ran(count - 1, outputs)
            if kept is not None and given is None:
                kept.keep(count - 1, pick(outputs, REFERENCE))
        if kept is not None:
            kept.ended(count)
        if lanes is not None:
            lanes.ended(count)


def _collected(batch: Batch, known: Outputs | None, given: Outputs | None, runner: LaneRunner, heads: Heads) -> Outputs:
    """The outputs of a batch, run or known, once its figures are collected beside those of the reference."""
    if known is not None:
        for observer in heads.observers:
            observer.passed_over()
    outputs = known if known is not None else runner.run_batch(batch)
    hand_over(batch, outputs, given if given is not None else pick(outputs, REFERENCE), heads.sinks)
    return outputs


def _first(batches: Batches, processes: Processes) -> tuple[int, int]:
    """Numbers of the first batch that this process runs, and of its first sample."""
    own = processes.share(batch_count(batches)) if processes.count > 1 else range(0)
    first = own.start if own else 0
    return first, samples_before(batches, first)
