"""One network measured layer by layer: the paired pass, and what is read from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from qdiag.capture.outputs.layout import output_layouts
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.measurement import OutputRecord
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.task import TaskResult
from qdiag.core.progress import Progress
from qdiag.distributed.processes import ONE, Processes
from qdiag.simulate.arithmetic.saturating import WIDE
from qdiag.simulate.case import Case
from qdiag.simulate.facts.arithmetic import ArithmeticObserver
from qdiag.simulate.facts.layer import gather_facts
from qdiag.simulate.facts.mac_observer import MacObserver
from qdiag.simulate.facts.observer import FactObserver
from qdiag.simulate.facts.pairs import PairObserver
from qdiag.simulate.facts.wraps import WrapObserver
from qdiag.simulate.op_records import op_records
from qdiag.simulate.passes.batchwise.lane_outputs import LaneOutputs
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import ErrorObserver, paired_lanes
from qdiag.simulate.passes.pass_cache import Codec
from qdiag.simulate.passes.pass_values import json_codec
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.sinks import BatchSink, KeptOutputs
from qdiag.simulate.passes.spread import spread_over
from qdiag.simulate.sweeps.losses import LossObserver
from qdiag.simulate.task.output_errors import OutputErrors
from qdiag.simulate.task.tasks import ReferenceTallies, TaskSink

Depth = Literal["errors", "losses", "facts", "full facts"]
"""How much is measured: the errors; the five losses of each layer too; what detectors look at as well, with the losses
on some of the samples or on all."""
LOSS_SAMPLES = 32
"""Samples behind the five losses, where they are not measured in full: as few whole batches as hold them. A layer has
thousands of values in each, and the shares of the losses differ little from image to image."""
SHAPE_SAMPLES = 128
"""Samples behind percentiles, moments and errors per channel, where losses are not measured in full either."""


@dataclass(frozen=True)
class Measured:
    """What the paired pass measured; `facts` are empty unless they were asked for, `mac_counts` are by layer."""

    records: tuple[OpRecord, ...]
    outputs: tuple[OutputRecord, ...]
    task: TaskResult
    facts: tuple[LayerFacts, ...] = ()
    mac_counts: dict[str, int] = field(default_factory=dict)


MEASURED: Codec[Measured] = json_codec(Measured)


def measure_case(
    case: Case,
    depth: Depth,
    progress: Progress,
    processes: Processes = ONE,
    kept: KeptOutputs | None = None,
    simulated: KeptOutputs | None = None,
    stage: str = "simulate",
) -> Measured:
    """The paired pass over the measured data.

    Args:
        kept: takes what the float network gives, for passes that follow. simulated: the same of the quantized one.
        stage: what the pass is called while it goes on.
    """
    some = spread_over(case.measured, SHAPE_SAMPLES) if depth == "facts" else None
    errors, facts = ErrorObserver(case.plan), FactObserver(some)
    losses = LossObserver(case.network, case.plan, _loss_batches(case) if depth == "facts" else None)
    macs, arithmetic, wraps = MacObserver(), ArithmeticObserver(case.plan), WrapObserver(case.network, case.plan)
    pairs = PairObserver(case.network, case.plan, spread_over(case.measured, LOSS_SAMPLES))
    observers: dict[Depth, Sequence[LayerObserver]] = {
        "errors": [macs, arithmetic, pairs, errors],
        "losses": [macs, arithmetic, pairs, losses, errors],
        "facts": [macs, arithmetic, wraps, pairs, losses, facts, errors],
        "full facts": [macs, arithmetic, wraps, pairs, losses, facts, errors],
    }
    program = case.network.program
    layouts, whole = output_layouts(program, case.network.graph), case.tasks.whole
    outputs = OutputErrors(program.output_names, layouts, whole, follows_samples=True)
    reference = ReferenceTallies(case.tasks)
    task = TaskSink(case.tasks, reference)
    runner = LaneRunner(paired_lanes(case.network, case.plan), observers[depth])
    sinks: dict[int, list[BatchSink]] = {SIMULATED: [outputs, task]}
    batches = case.measured
    lanes = None
    if simulated is not None and kept is not None and processes.count == 1:
        lanes = LaneOutputs({SIMULATED: simulated}, kept, is_read=False)
    run_batches(
        runner,
        batches,
        progress,
        stage=stage,
        sinks=sinks,
        beside=[reference],
        processes=processes,
        kept=kept,
        lanes=lanes,
    )
    weights = {name: by_lane[SIMULATED] for name, by_lane in runner.weights.items()}
    return Measured(
        op_records(case, errors.errors(), losses.records(), weights, arithmetic.errors(), pairs.records()),
        outputs.records(),
        task.result(),
        gather_facts(case, facts.facts(), macs.counts(), wraps.channels()) if depth in ("facts", "full facts") else (),
        macs.counts(),
    )


def _loss_batches(case: Case) -> frozenset[int] | None:
    """Some batches; all where sums can leave their range, because a few samples may be those that do."""
    scheme = case.plan.scheme
    if scheme.accumulator_bits < WIDE or scheme.pair_saturation:
        return None
    return spread_over(case.measured, LOSS_SAMPLES)
