"""One network measured layer by layer: the paired pass, and what is read from it."""

import math
from collections.abc import Mapping, Sequence
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
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.facts.arithmetic import ArithmeticObserver
from qdiag.simulate.facts.layer import gather_facts
from qdiag.simulate.facts.mac_observer import MacObserver
from qdiag.simulate.facts.observer import FactObserver
from qdiag.simulate.facts.pairs import PairObserver
from qdiag.simulate.facts.wraps import WrapObserver
from qdiag.simulate.op_records import op_records
from qdiag.simulate.passes.batchwise.kept_outputs import ReferenceOutputs
from qdiag.simulate.passes.batchwise.lane_outputs import LaneOutputs
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import REFERENCE, SIMULATED, Lane
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import ErrorObserver, paired_lanes
from qdiag.simulate.passes.pass_cache import Codec
from qdiag.simulate.passes.pass_values import json_codec
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.sinks import BatchSink
from qdiag.simulate.passes.spread import spread_over
from qdiag.simulate.passes.weights import SimulatedWeights
from qdiag.simulate.sweeps.losses import LossObserver
from qdiag.simulate.task.output_errors import OutputErrors
from qdiag.simulate.task.tasks import ReferenceTallies, TaskSink

Depth = Literal["errors", "full errors", "losses", "facts", "full facts"]
"""How much is measured: the errors of layers, on some of the samples or on all; the five losses of each layer too; what
detectors look at as well, with layers and losses on some of the samples or on all."""
LOSS_SAMPLES = 32
"""Samples behind the five losses, where they are not measured in full: as few whole batches as hold them. A layer has
thousands of values in each, and the shares of the losses differ little from image to image."""
LEAST_VALUES = 10_000
"""Values of every layer behind its figures, where these are not those of all samples. The noise power of so many is
known to a few hundredths of a dB where they are independent, which those of one image are not."""
_LAYER_SAMPLES: Mapping[Depth, tuple[int, int | None]] = {"errors": (32, None), "facts": (64, 128)}
"""Samples behind the figures of layers, at least and at most; outputs and the task are measured on all of them."""


@dataclass(frozen=True)
class Measured:
    """What the paired pass measured; `facts` are empty unless they were asked for, `mac_counts` are by layer.

    Attributes:
        layer_sample_count: samples behind the figures of layers; None for all of them.
    """

    records: tuple[OpRecord, ...]
    outputs: tuple[OutputRecord, ...]
    task: TaskResult
    facts: tuple[LayerFacts, ...] = ()
    mac_counts: dict[str, int] = field(default_factory=dict)
    layer_sample_count: int | None = None


MEASURED: Codec[Measured] = json_codec(Measured)


@dataclass(frozen=True)
class HeldOutputs:
    """What networks gave and give, for passes that follow: the float network and the quantized one."""

    references: ReferenceOutputs
    simulated: ReferenceOutputs


def measure_case(
    case: Case,
    depth: Depth,
    progress: Progress,
    processes: Processes = ONE,
    held: HeldOutputs | None = None,
    stage: str = "simulate",
) -> Measured:
    """The paired pass over the measured data; over some of them, and outputs alone over all, where that is enough.

    Args:
        held: takes what the two networks give, for passes that follow.
        stage: what the pass is called while it goes on.
    """
    looked_at = _looked_at(case, depth)
    batches = looked_at.measured
    errors, facts = ErrorObserver(case.plan), FactObserver(is_full=depth == "full facts")
    losses = LossObserver(case.network, case.plan, _loss_batches(looked_at) if depth == "facts" else None)
    macs, arithmetic, held_weights = MacObserver(), ArithmeticObserver(case.plan), dict[str, SimulatedWeights]()
    wraps = WrapObserver(case.network, case.plan, held_weights)
    pairs = PairObserver(case.network, case.plan, spread_over(batches, LOSS_SAMPLES), held_weights)
    observers: dict[Depth, Sequence[LayerObserver]] = {
        "errors": [macs, arithmetic, pairs, errors],
        "full errors": [macs, arithmetic, pairs, errors],
        "losses": [macs, arithmetic, pairs, losses, errors],
        "facts": [macs, arithmetic, wraps, pairs, losses, facts, errors],
        "full facts": [macs, arithmetic, wraps, pairs, losses, facts, errors],
    }
    runner, sinks = LaneRunner(paired_lanes(case.network, case.plan), observers[depth]), _Sinks(case)
    weights = {name: by_lane[SIMULATED] for name, by_lane in runner.weights.items()}
    held_weights.update(weights)
    is_whole = looked_at is case
    told = (progress, stage, processes, held)
    _run(runner, looked_at, sinks if is_whole else None, SIMULATED, *told, is_read=False)
    if not is_whole:
        first = [] if _is_known(case, held, processes) else [REFERENCE]
        known = {name: [made[lane] for lane in (*first, SIMULATED)] for name, made in runner.weights.items()}
        lanes = [*(Lane(case.network) for _ in first), Lane(case.network, case.plan)]
        _run(LaneRunner(lanes, weights=known), case, sinks, len(first), *told, is_read=True)
    return Measured(
        op_records(case, errors.errors(), losses.records(), weights, arithmetic.errors(), pairs.records()),
        sinks.outputs.records(),
        sinks.task.result(),
        gather_facts(case, facts.facts(), macs.counts(), wraps.channels()) if depth in ("facts", "full facts") else (),
        macs.counts(),
        None if is_whole else batches.sample_count,
    )


class _Sinks:
    """What is made of the outputs of the quantized network."""

    def __init__(self, case: Case) -> None:
        program = case.network.program
        layouts, whole = output_layouts(program, case.network.graph), case.tasks.whole
        self.outputs = OutputErrors(program.output_names, layouts, whole, follows_samples=True)
        self.reference = ReferenceTallies(case.tasks)
        self.task = TaskSink(case.tasks, self.reference)


def _run(
    runner: LaneRunner,
    case: Case,
    sinks: _Sinks | None,
    lane: int,
    progress: Progress,
    stage: str,
    processes: Processes,
    held: HeldOutputs | None,
    *,
    is_read: bool,
) -> None:
    """One pass over the measured data of a case.

    Args:
        lane: of the quantized network. is_read: batches that were run already do not run again.
    """
    kept = held.references.of(case.network, case.measured, processes) if held is not None else None
    lanes = None
    if held is not None and kept is not None:
        own = held.simulated.of(case.plan, case.measured, processes)
        lanes = LaneOutputs({lane: own}, kept, is_read=is_read, runs_one=False)
    received: dict[int, list[BatchSink]] = {lane: [sinks.outputs, sinks.task]} if sinks is not None else {}
    run_batches(
        runner,
        case.measured,
        progress,
        stage=stage,
        sinks=received,
        beside=[sinks.reference] if sinks is not None else [],
        processes=processes,
        kept=kept,
        lanes=lanes,
    )


def _is_known(case: Case, held: HeldOutputs | None, processes: Processes) -> bool:
    """What the float network gives is held for all measured data, as where it was calibrated on them."""
    return held is not None and held.references.of(case.network, case.measured, processes).is_complete


def _looked_at(case: Case, depth: Depth) -> Case:
    """The case with some of the samples, where the figures of layers need no more."""
    return on_some(case, layer_samples(case, depth))


def layer_samples(case: Case, depth: Depth) -> int:
    """Samples behind the figures of layers: as many as give every layer `LEAST_VALUES`, between two bounds.

    All of them where sums can leave their range, because a few samples may be those that do.
    """
    whole = case.measured.sample_count
    if depth not in _LAYER_SAMPLES or _may_wrap(case):
        return whole
    least, most = _LAYER_SAMPLES[depth]
    seen = (case.observations[layer.name] for layer in case.network.graph.layers if layer.name in case.observations)
    values = min((math.prod(one.shape) for one in seen), default=1)
    return min(max(least, -(-LEAST_VALUES // max(values, 1))), whole if most is None else most)


def _loss_batches(case: Case) -> frozenset[int] | None:
    """Some batches; all where sums can leave their range, because a few samples may be those that do."""
    return None if _may_wrap(case) else spread_over(case.measured, LOSS_SAMPLES)


def _may_wrap(case: Case) -> bool:
    """Sums can leave their range, and a few samples may be those where they do."""
    scheme = case.plan.scheme
    return scheme.accumulator_bits < WIDE or scheme.pair_saturation
