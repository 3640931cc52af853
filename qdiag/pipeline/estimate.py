"""What a long run will cost, said before it begins.

A network that is measured costs arithmetic, which layers shared with others save, and the scoring of its outputs,
which nothing saves: for mean average precision that is the larger part. Both are timed on two batches. What the float
network gives is kept from the first pass on.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from qdiag.batches import Batch
from qdiag.capture.outputs.layout import output_layouts
from qdiag.core.formats.other_widths import schemes_at
from qdiag.distributed.threads import shared_out
from qdiag.pipeline.diagnose import DiagnoseOptions, open_ledger
from qdiag.pipeline.sensitivity import ALONE_SAMPLES, ESTIMATE_SAMPLES, SAMPLED, TOP, SensitivityOptions
from qdiag.rank.bench import FEW
from qdiag.rank.network_wide import PART_SAMPLES
from qdiag.simulate.case import SHOWN_SAMPLES, Case
from qdiag.simulate.layerwise.samples import LOSS_SAMPLES, shares, sparse_layers
from qdiag.simulate.passes.batch_rows import rows
from qdiag.simulate.passes.batchwise.heads import Heads
from qdiag.simulate.passes.batchwise.threads import thread_count
from qdiag.simulate.passes.lanes import REFERENCE, Lane, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.sweeps.sensitivity import switchable_layers
from qdiag.simulate.task.score_cases import variants_at_once
from qdiag.simulate.task.scoring import Scoreboard
from qdiag.simulate.task.tasks import ReferenceTallies

EXAMINE = 5.0
"""Passes of the captured float network: the paired pass, and what detectors look at beside it."""
_REPAIRED = 4.0
"""Of the repaired network, its layers, over the samples that they are measured on."""
LOSSES = 6.0
"""The five losses, over the samples that they are measured on."""
_REPAIRS, _ROUNDS, _ALL_REPAIRS = 16, 18, 36
"""Networks that a harmed network's repairs, placebos and sequence take as a rule: on all samples, and, in rounds of few
samples, as many as take what so many would on `FEW` of them; without such rounds. A healthy one takes few."""
_OBSERVED, _ALL_OBSERVED = 2.8, 14.0
"""Of repaired networks whose ranges move, over the calibration samples, with what a closer look takes: as many as the
sequence needs until float is no better, and all."""
_SEARCH_S = 0.05
"""For each layer: ranges with the least error, which are looked for without any pass over the data."""
_BACKWARD = 6.0
"""Forward in float and quantized, and back."""
_GAIN = 0.8
"""Of another thread that takes batches too."""
_ALONE = 0.5
"""Of a network's arithmetic, on the mean: a layer that is quantized alone changes nothing before it."""
_ALONE_ON_TOP = 0.55
"""The same where some layers are measured: those that cost most stand early, as a rule."""
_NEAR = 0.7
"""Networks for layers of a harmed one of which few samples do not tell whether they cost half of the loss."""
_WIDTHS, _WIDTHS_UP = 4, 2
"""Other widths until it is plain where the network begins to fail, and where a harmed one is sound."""
_PARTS = 2
"""Networks with quantized weights or activations alone, which the ranking of a healthy network takes."""
_WARMING, _TIMED = 2, 8
"""Samples that run before anything is timed, and of a small batch that is timed."""
_REPORT_S, _REPORT_LAYER_S = 0.8, 0.02
"""Of the files of a report, and for each layer, without pictures."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of each stage that are still to come, where the network turns out to be healthy, and where it is harmed.

    Attributes:
        pass_s: of one float pass. is_known: an earlier run took all these stages, so that both are the same.
    """

    healthy: Mapping[str, float]
    harmed: Mapping[str, float]
    pass_s: float
    sample_count: int
    is_known: bool = False

    @property
    def healthy_s(self) -> float:
        return sum(self.healthy.values())

    @property
    def harmed_s(self) -> float:
        return sum(self.harmed.values())


@dataclass(frozen=True)
class _Times:
    """Seconds over all measured samples.

    Attributes:
        float_s: of a float pass. variant_s: of one quantized network's arithmetic. score_s: of the scoring of its
            outputs.
    """

    float_s: float
    variant_s: float
    score_s: float

    def of(self, variants: float, passes: float, *, share: float = 1.0) -> float:
        """Of so many networks in so many passes; `share` of their arithmetic is their own."""
        return variants * (share * self.variant_s + self.score_s) + passes * self.float_s


def estimate(
    session: Session, case: Case, options: DiagnoseOptions, *, with_report: bool = False, pictures_s: float = 0.0
) -> Estimate:
    """What `qdiag diagnose` will take from now on, with what earlier runs left to be used again.

    Args:
        with_report: its files are written too. pictures_s: what their pictures take.
    """
    times, count = _times(session, case), max(case.measured.sample_count, 1)
    is_full = options.is_exhaustive or options.full_losses
    losses = LOSSES * (1.0 if is_full else min(LOSS_SAMPLES / count, 1.0))
    layers_share, apart = shares(case, "full facts" if is_full else "facts")
    examined_s = (layers_share * EXAMINE + losses) * times.float_s + apart * times.of(1, 1)
    healthy = {"simulate": examined_s}
    harmed = dict(healthy)
    shown = 1.0 if options.is_exhaustive else min(SHOWN_SAMPLES / count, 1.0)
    if options.with_sensitivity:
        healthy["sensitivity"] = harmed["sensitivity"] = _sensitivity_s(times, case, options)
        harmed["sensitivity"] += times.of(_NEAR, 0)
    layers = len(case.network.graph.layers)
    parts = 1.0 if options.is_exhaustive else min(PART_SAMPLES / count, 1.0)
    healthy["rank"] = parts * times.of(_PARTS, 0)
    few = _ROUNDS * min(FEW / count, 1.0)
    repairs, observed = (_ALL_REPAIRS, _ALL_OBSERVED) if options.is_exhaustive else (_REPAIRS + few, _OBSERVED)
    observed_s = observed * times.float_s * case.calibration.sample_count / count
    harmed["rank"] = healthy["rank"] + times.of(repairs, 0) + observed_s + _SEARCH_S * layers
    harmed["rank"] += layers_share * _REPAIRED * times.float_s
    if sparse_layers(case, "repaired") and not is_full:
        harmed["rank"] += apart * times.of(1, 1)
    if options.with_bits:
        widths = len(schemes_at(case.scheme))
        down, up = (widths, widths) if options.is_exhaustive else (_WIDTHS, _WIDTHS_UP)
        healthy["bits"], harmed["bits"] = shown * times.of(down, 0), shown * times.of(up, 0)
    if options.training is not None:
        harmed["train"] = 60.0 * options.training.minutes
    open_ledger(session, case, options)
    ledger, is_known = session.passes.ledger, False
    if ledger is not None:
        is_known = all(ledger.was_finished(stage) for stage in harmed)
        healthy = {stage: ledger.left_s(stage, seconds) for stage, seconds in healthy.items()}
        harmed = {stage: ledger.left_s(stage, seconds) for stage, seconds in harmed.items()}
    report = {"report": _REPORT_S + _REPORT_LAYER_S * layers + pictures_s} if with_report else {}
    return Estimate({**healthy, **report}, {**harmed, **report}, times.float_s, case.measured.sample_count, is_known)


def _sensitivity_s(times: _Times, case: Case, options: DiagnoseOptions) -> float:
    layers, count = len(switchable_layers(case, "both")), max(case.measured.sample_count, 1)
    if options.is_exhaustive or options.exact_layers or layers <= TOP + SAMPLED:
        return _BACKWARD * times.float_s + _alone_s(times, case, layers)
    alone_s = times.of(TOP + SAMPLED, 0, share=_ALONE_ON_TOP)
    share = min(ALONE_SAMPLES[0] / count, 1.0)
    return times.score_s + _BACKWARD * times.float_s * min(ESTIMATE_SAMPLES / count, 1.0) + share * alone_s


def estimate_sweep(session: Session, case: Case, options: SensitivityOptions) -> Estimate:
    """What `qdiag sensitivity` will take: each layer by itself, in each way, and the backward pass."""
    times, ways = _times(session, case), (1 + options.with_all_but) if options.with_exact else 0
    sweep_s = _BACKWARD * times.float_s + _alone_s(times, case, ways * len(switchable_layers(case, options.part)))
    stages = {"sweep": sweep_s}
    return Estimate(stages, stages, times.float_s, case.measured.sample_count, is_known=True)


def _alone_s(times: _Times, case: Case, count: int) -> float:
    return times.of(count, math.ceil(count / variants_at_once(case)), share=_ALONE)


def _few_batches(case: Case) -> list[Batch]:
    """Two batches, cut short where the network takes that; one that is larger than usual stays whole."""
    batches = list(islice(case.measured, 2))
    if case.program.batch_size is None and len(batches) > 1:
        batches[0] = rows(batches[0], range(min(_WARMING, batches[0].sample_count)))
        if batches[1].sample_count <= 2 * _TIMED:
            batches[1] = rows(batches[1], range(min(_TIMED, batches[1].sample_count)))
    return batches


def _times(session: Session, case: Case) -> _Times:
    """From the second of two batches, the first of which warms up: the quicker of two runs, since what holds one up is
    no part of it. The figures of a task are made of both batches.

    Processes divide the samples.
    """
    alone, beside = LaneRunner([Lane(case.origin)]), LaneRunner([Lane(case.origin), Lane(case.network, case.plan)])
    program = case.network.program
    layouts = output_layouts(program, case.network.graph)
    board = Scoreboard(program.output_names, layouts, case.tasks, ReferenceTallies(case.tasks))
    float_s = both_s = added_s = 0.0
    samples = seen = 1
    threads = thread_count(beside, Heads((), (), {1: [board]}, beside.effort), case.measured)
    with session.untimed_stage("estimate the time"), shared_out(threads):
        for batch in _few_batches(case):
            took = list[tuple[float, float]]()
            for _ in range(2):
                started = time.perf_counter()
                alone.run_batch(batch)
                between = time.perf_counter()
                outputs = beside.run_batch(batch)
                took.append((between - started, time.perf_counter() - between))
            float_s, both_s = map(min, zip(*took, strict=True))
            started = time.perf_counter()
            board.add(batch, reference=pick(outputs, REFERENCE), simulated=pick(outputs, 1))
            added_s, seen = time.perf_counter() - started, seen + batch.sample_count
            samples = batch.sample_count
        started = time.perf_counter()
        board.scored()
        made_s = time.perf_counter() - started
    at_once = 1.0 + _GAIN * (threads - 1) if session.processes.count == 1 else session.processes.count
    count = case.measured.sample_count / at_once
    score_s = added_s / samples * count + made_s / max(seen - 1, 1) * count
    return _Times(float_s / samples * count, max(both_s - float_s, 0.0) / samples * count, score_s)
