"""The paired pass: what is looked at, on how many samples, and what becomes of it."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from qdiag.capture.outputs.layout import output_layouts
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.measurement import OutputRecord
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.task import TaskResult
from qdiag.core.progress import Progress
from qdiag.distributed.processes import ONE, Processes
from qdiag.simulate.case import Case
from qdiag.simulate.facts.layer import gather_facts
from qdiag.simulate.layerwise.observers import PairedObservers, Seen
from qdiag.simulate.layerwise.op_records import op_records
from qdiag.simulate.layerwise.samples import Depth, layer_samples, on_layer_samples, sparse_layers
from qdiag.simulate.passes.batchwise.kept_outputs import ReferenceOutputs
from qdiag.simulate.passes.batchwise.lane_outputs import LaneOutputs
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import REFERENCE, SIMULATED, Lane
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.pass_cache import Codec
from qdiag.simulate.passes.pass_values import json_codec
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.sinks import BatchSink
from qdiag.simulate.passes.spread import AllBut, spread_over
from qdiag.simulate.passes.weights import SimulatedWeights
from qdiag.simulate.task.output_errors import OutputErrors
from qdiag.simulate.task.tasks import ReferenceTallies, TaskSink


@dataclass(frozen=True)
class Measured:
    """What the paired pass measured; `facts` are empty unless they were asked for, `mac_counts` are by layer.

    Attributes:
        layer_sample_count: samples behind the figures of layers, but for those with few values; None for all of them.
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
    """The paired pass over the measured data; over some of them, and outputs and layers with few values over all, where
    that is enough.

    Args:
        held: takes what the two networks give, for passes that follow.
        stage: what the pass is called while it goes on.
    """
    looked_at, sparse = on_layer_samples(case, depth), sparse_layers(case, depth)
    made = dict[str, SimulatedWeights]()
    others = frozenset(site.name for site in case.network.graph.sites) - sparse
    parts = [PairedObservers(looked_at, depth, made, others)]
    if sparse:
        parts.append(PairedObservers(looked_at, depth, made, sparse, are_sparse=True))
    runner = LaneRunner(paired_lanes(case.network, case.plan), [observer for part in parts for observer in part.all])
    sinks = _Sinks(case)
    weights = {name: by_lane[SIMULATED] for name, by_lane in runner.weights.items()}
    made.update(weights)
    is_whole = looked_at is case
    told = (progress, stage, processes, held)
    _run(runner, looked_at, sinks if is_whole else None, SIMULATED, *told, is_read=False)
    on_fewer = {}
    if sparse:
        on_fewer = parts[1].errors.errors()
        ran = spread_over(case.measured, layer_samples(case, depth))
        rest = PairedObservers(case, depth, made, sparse, are_sparse=True, batches=AllBut(ran))
        lanes = paired_lanes(case.network, case.plan, at=sparse)
        known = {name: _at(name in sparse, by_lane) for name, by_lane in runner.weights.items()}
        _run(LaneRunner(lanes, rest.all, weights=known), case, sinks, SIMULATED, *told, is_read=True, numbers=ran)
        parts[1].merge(rest)
    elif not is_whole:
        first = [] if _is_known(case, held, processes) else [REFERENCE]
        known = {name: [made[lane] for lane in (*first, SIMULATED)] for name, made in runner.weights.items()}
        lanes = [*(Lane(case.network) for _ in first), Lane(case.network, case.plan)]
        _run(LaneRunner(lanes, weights=known), case, sinks, len(first), *told, is_read=True)
    seen = Seen(parts)
    records = op_records(case, seen, on_fewer, weights)
    return Measured(
        records,
        sinks.outputs.records(),
        sinks.task.result(),
        gather_facts(case, seen.facts, seen.mac_counts, seen.wrapped) if depth in ("facts", "full facts") else (),
        seen.mac_counts,
        None if is_whole else looked_at.measured.sample_count,
    )


def _at(is_seen: bool, weights: Sequence[SimulatedWeights]) -> Sequence[SimulatedWeights]:
    """Of the lanes of a paired pass, where the layers by themselves are those of some alone."""
    return weights if is_seen else [weights[REFERENCE], weights[REFERENCE], weights[SIMULATED]]


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
    numbers: Container[int] | None = None,
) -> None:
    """One pass over the measured data of a case.

    Args:
        lane: of the quantized network. is_read, numbers: see `LaneOutputs`.
    """
    kept = held.references.of(case.network, case.measured, processes) if held is not None else None
    lanes = None
    if held is not None and kept is not None:
        own = held.simulated.of(case.plan, case.measured, processes)
        lanes = LaneOutputs({lane: own}, kept, is_read=is_read, numbers=numbers)
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
