"""A pass whose batches are taken by several threads, each of which runs its batch with its share of torch's threads.

Operations of torch let other Python threads run. Many of them are too short to be divided among threads themselves, so
that two batches side by side keep two cores busy where one batch at a time does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from qdiag.batches import Batch, Batches
from qdiag.core.progress import Progress
from qdiag.distributed.batch_sizes import batch_count
from qdiag.distributed.threads import by_turns
from qdiag.simulate.passes.batchwise.counted import count_operations
from qdiag.simulate.passes.batchwise.heads import Heads
from qdiag.simulate.passes.batchwise.kept_outputs import KeptOutputs
from qdiag.simulate.passes.batchwise.lane_outputs import LaneOutputs
from qdiag.simulate.passes.lanes import REFERENCE, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.sinks import hand_over

MOST_THREADS = 2
"""Each holds the activations of a batch of its own."""


@dataclass(frozen=True)
class _Done:
    """A batch that was run: what was collected of it, and what the networks gave where nobody holds that yet."""

    sample_count: int
    heads: Heads
    reference: tuple[Any, ...] | None
    outputs: tuple[Any, ...] | None


def thread_count(runner: LaneRunner, heads: Heads, batches: Batches) -> int:
    """How many threads can take batches; 1 where operations or collectors do not fit threads."""
    most = min(MOST_THREADS, torch.get_num_threads(), batch_count(batches))
    return most if most > 1 and runner.fits_threads and heads.fits_threads else 1


def run_in_threads(
    runner: LaneRunner,
    heads: Heads,
    batches: Batches,
    progress: Progress,
    stage: str,
    kept: KeptOutputs | None,
    lanes: LaneOutputs | None,
    threads: int,
) -> None:
    """Runs all batches; then the heads hold what one thread would have collected.

    What is collected of each batch is added in the order of the batches.
    """
    pristine = heads.copied()
    count, is_held = 0, lanes is not None and lanes.is_complete

    def run(number: int, given: tuple[Batch, int]) -> _Done:
        batch, samples_before = given
        own = pristine.copied()
        own.begin_at(number, samples_before)
        if is_held and number == 0:
            count_operations(runner, batch, own.effort)
        held = lanes.get(number) if lanes is not None else None
        outputs = held if held is not None else runner.beside(own.observers, own.effort).run_batch(batch)
        known = kept.get(number) if kept is not None else None
        reference = known if known is not None else pick(outputs, REFERENCE)
        hand_over(batch, outputs, reference, own.sinks)
        new = outputs if lanes is not None and held is None else None
        return _Done(batch.sample_count, own, reference if known is None and kept is not None else None, new)

    def add(done: _Done) -> None:
        nonlocal count
        if kept is not None and done.reference is not None:
            kept.keep(count, done.reference)
        if lanes is not None and done.outputs is not None:
            lanes.ran(count, done.outputs)
        count += 1
        heads.merge(done.heads)
        progress.advance(done.sample_count)

    progress.start(stage, batches.sample_count)
    by_turns(_placed(batches), run, add, threads)
    if kept is not None:
        kept.ended(count)
    if lanes is not None:
        lanes.ended(count)
    progress.finish()


def _placed(batches: Batches) -> Iterator[tuple[Batch, int]]:
    """Each batch, and how many samples come before it."""
    before = 0
    for batch in batches:
        yield batch, before
        before += batch.sample_count
