"""Scores many cases on the same batches, as many in one pass as memory allows."""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field

from qdiag.capture.outputs.layout import output_layouts
from qdiag.core.progress import Progress
from qdiag.distributed.processes import Processes
from qdiag.simulate.case import Case
from qdiag.simulate.passes.batchwise.kept_outputs import ReferenceOutputs
from qdiag.simulate.passes.batchwise.lane_outputs import LaneOutputs
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import Lane
from qdiag.simulate.passes.pass_cache import Codec, PassKeeper
from qdiag.simulate.passes.pass_values import decode_scores, encode_scores
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.spread import identity
from qdiag.simulate.task.scoring import Scoreboard, Scored
from qdiag.simulate.task.tasks import ReferenceTallies, Tasks

MEMORY_BYTES = 1 << 30
"""For the activations of all variants of one pass; more variants mean fewer passes of the shared reference."""
_ALIVE = 3
"""Tensors of the largest layer's size that one variant holds at once: input, output, a residual."""


@dataclass(frozen=True)
class Effort:
    """What scoring took.

    Attributes:
        pass_count: passes over the data. variant_count: networks scored.
        computed_count, reused_count: operations of these networks that were run, and those whose result was shared.
    """

    pass_count: int = 0
    variant_count: int = 0
    computed_count: int = 0
    reused_count: int = 0

    def __add__(self, other: "Effort") -> "Effort":
        return Effort(
            self.pass_count + other.pass_count,
            self.variant_count + other.variant_count,
            self.computed_count + other.computed_count,
            self.reused_count + other.reused_count,
        )


@dataclass(frozen=True)
class Held:
    """What need not be computed again. Neither groups of cases nor what is counted depend on it.

    Attributes:
        references: what float networks gave. variants: what quantized networks gave, by their plan.
        is_kept: variants also take what is new.
    """

    references: ReferenceOutputs = field(default_factory=ReferenceOutputs)
    variants: ReferenceOutputs = field(default_factory=ReferenceOutputs)
    is_kept: bool = False


def score_cases(
    cases: Sequence[Case], passes: PassKeeper, progress: Progress, held: Held, *, stage: str
) -> tuple[list[Scored], Effort]:
    """The score of each case on its measured data, in their order, each against the untreated float network.

    Cases in their order share work best when neighbours differ late in the network.
    """
    scored: dict[int, Scored] = {}
    effort = Effort()
    groups: dict[tuple[int, tuple[int, int]], list[int]] = {}
    for i, case in enumerate(cases):
        groups.setdefault((id(case.origin), identity(case.measured)), []).append(i)
    for members in groups.values():
        size = variants_at_once(cases[members[0]])
        for start in range(0, len(members), size):
            chosen = members[start : start + size]
            told = f"{stage} {start + 1}/{len(cases)}"
            found, one = _one_pass([cases[i] for i in chosen], passes, progress, held, told)
            scored.update(zip(chosen, found, strict=True))
            effort = effort + one
    return [scored[i] for i in range(len(cases))], effort


def variants_at_once(case: Case) -> int:
    """How many variants fit into `MEMORY_BYTES`, 2 to 32."""
    largest = max((math.prod(seen.shape) for seen in case.observations.values()), default=1)
    per_variant = _ALIVE * 4 * largest * max(case.measured.batch_size, 1)
    return min(max(int(MEMORY_BYTES // per_variant), 2), 32)


def _one_pass(
    cases: Sequence[Case], passes: PassKeeper, progress: Progress, held: Held, stage: str
) -> tuple[list[Scored], Effort]:
    """One pass, or what is kept of the same one: then its effort counts as that of this run, which it would be."""
    tasks = cases[0].tasks
    if tasks.key is None:
        return _run_pass(cases, progress, held, stage, passes.processes)
    return passes.finished(
        "score",
        _codec(tasks),
        lambda: _run_pass(cases, progress, held, stage, passes.processes),
        batches=[cases[0].measured],
        depends_on=(cases[0].origin, repr(tasks.key), *(part for case in cases for part in (case.network, case.plan))),
    )


def _codec(tasks: Tasks) -> Codec[tuple[list[Scored], Effort]]:
    def decoded(data: bytes) -> tuple[list[Scored], Effort]:
        scores, counts = decode_scores(data, tasks)
        return scores, Effort(*counts)

    return Codec(lambda found: encode_scores(found[0], astuple(found[1])), decoded)


def _run_pass(
    cases: Sequence[Case], progress: Progress, held: Held, stage: str, processes: Processes
) -> tuple[list[Scored], Effort]:
    measured = cases[0].measured
    kept = held.references.of(cases[0].origin, measured, processes)
    first = [] if kept.is_complete else [Lane(cases[0].origin)]
    runner = LaneRunner([*first, *(Lane(case.network, case.plan) for case in cases)], uncounted=len(first))
    network, tasks = cases[0].network, cases[0].tasks
    layouts, reference = output_layouts(network.program, network.graph), ReferenceTallies(tasks)
    boards = [Scoreboard(network.program.output_names, layouts, tasks, reference) for _ in cases]
    sinks = {lane: [board] for lane, board in enumerate(boards, start=len(first))}
    own = {lane: held.variants.of(case.plan, measured, processes) for lane, case in enumerate(cases, start=len(first))}
    lanes = LaneOutputs(own, kept, is_kept=held.is_kept)
    beside = [reference]
    run_batches(
        runner, measured, progress, stage=stage, sinks=sinks, beside=beside, processes=processes, kept=kept, lanes=lanes
    )
    # every batch has the same operations: what was not run counts as well, as in a run that finds other passes kept
    count, ran = boards[0].batch_count, runner.effort.batch_count
    computed, reused = (round(n * count / max(ran, 1)) for n in (runner.computed_count, runner.reused_count))
    effort = Effort(1, len(cases), computed, reused)
    return [board.scored() for board in boards], effort
