"""What a long run will cost, said before it begins.

A network that is measured beside the float one costs arithmetic, which layers shared with others save, and the scoring
of its outputs, which nothing saves: for mean average precision that is the larger part. Both are timed on two batches.
"""

import math
import time
from dataclasses import dataclass
from itertools import islice

from qdiag.capture.outputs.layout import output_layouts
from qdiag.core.formats.other_widths import schemes_at
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.pipeline.sensitivity import ESTIMATE_SAMPLES, SAMPLED, TOP, SensitivityOptions
from qdiag.simulate.case import Case
from qdiag.simulate.measure import LOSS_SAMPLES
from qdiag.simulate.passes.lanes import REFERENCE, Lane, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.sweeps.sensitivity import switchable_layers
from qdiag.simulate.task.score_cases import variants_at_once
from qdiag.simulate.task.scoring import Scoreboard
from qdiag.simulate.task.tasks import ReferenceTallies

_EXAMINE = 11.0
"""Passes of the captured float network: the paired pass takes 5, and what detectors look at as much again."""
_LOSSES = 9.0
"""The five losses, over the samples that they are measured on."""
_REPAIRS = 50
"""Networks that a harmed network's repairs, placebos and sequence take as a rule; a healthy one takes few."""
_REPAIR_PASSES = 10
"""Passes in which they are measured, each beside a float reference of its own."""
_OBSERVED = 30.0
"""Of repaired networks whose ranges move, over the calibration samples: a dozen, with what a closer look takes."""
_BACKWARD = 9.0
"""Forward in float and quantized, and back."""
_ALONE = 0.5
"""Of a network's arithmetic, on the mean: a layer that is quantized alone changes nothing before it."""
_ALONE_ON_TOP = 0.75
"""The same where some layers are measured: those that cost most stand early, as a rule."""
_WIDTHS, _WIDTH_PASSES = 4, 2
"""Other widths until it is plain where the network begins to fail."""


@dataclass(frozen=True)
class Estimate:
    """Seconds on the measured samples.

    Attributes:
        examine_s: of the figures by layer. repairs_s: if quantization turns out to cost something.
        sweeps_s: for sensitivity and other widths. pass_s: of one float pass.
    """

    examine_s: float
    repairs_s: float
    sweeps_s: float
    pass_s: float
    sample_count: int

    @property
    def total_s(self) -> float:
        return self.examine_s + self.repairs_s + self.sweeps_s


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


def estimate(session: Session, case: Case, options: DiagnoseOptions) -> Estimate:
    """What `qdiag diagnose` will take, without the files of a report."""
    times, sweeps, count = _times(session, case), 0.0, max(case.measured.sample_count, 1)
    if options.with_sensitivity:
        layers = len(switchable_layers(case, "both"))
        if options.is_exhaustive or options.exact_layers or layers <= TOP + SAMPLED:
            sweeps += _BACKWARD * times.float_s + _alone_s(times, case, layers)
        else:
            sweeps += _BACKWARD * times.float_s * min(ESTIMATE_SAMPLES / count, 1.0)
            sweeps += times.of(TOP + SAMPLED, _passes(case, TOP + SAMPLED), share=_ALONE_ON_TOP)
    if options.with_bits:
        widths = len(schemes_at(case.scheme))
        sweeps += times.of(widths, _passes(case, widths)) if options.is_exhaustive else times.of(_WIDTHS, _WIDTH_PASSES)
    is_full = options.is_exhaustive or options.full_losses
    examine = _EXAMINE + _LOSSES * (1.0 if is_full else min(LOSS_SAMPLES / count, 1.0))
    repairs = times.of(_REPAIRS, _REPAIR_PASSES) + _OBSERVED * times.float_s * case.calibration.sample_count / count
    return Estimate(examine * times.float_s, repairs, sweeps, times.float_s, case.measured.sample_count)


def estimate_sweep(session: Session, case: Case, options: SensitivityOptions) -> Estimate:
    """What `qdiag sensitivity` will take: each layer by itself, in each way, and the backward pass."""
    times, ways = _times(session, case), (1 + options.with_all_but) if options.with_exact else 0
    sweeps = _BACKWARD * times.float_s + _alone_s(times, case, ways * len(switchable_layers(case, options.part)))
    return Estimate(0.0, 0.0, sweeps, times.float_s, case.measured.sample_count)


def _alone_s(times: _Times, case: Case, count: int) -> float:
    return times.of(count, _passes(case, count), share=_ALONE)


def _passes(case: Case, count: int) -> int:
    """In which so many networks are measured."""
    return math.ceil(count / variants_at_once(case))


def _times(session: Session, case: Case) -> _Times:
    """From the second of two batches; the figures of a task are made of both."""
    alone, beside = LaneRunner([Lane(case.origin)]), LaneRunner([Lane(case.origin), Lane(case.network, case.plan)])
    program = case.network.program
    layouts = output_layouts(program, case.network.graph)
    board = Scoreboard(program.output_names, layouts, case.tasks, ReferenceTallies(case.tasks))
    float_s = both_s = added_s = 0.0
    samples = seen = 1
    with session.untimed_stage("estimate the time"):
        for batch in islice(case.measured, 2):
            started = time.perf_counter()
            alone.run_batch(batch)
            float_s, samples = time.perf_counter() - started, batch.sample_count
            started = time.perf_counter()
            outputs = beside.run_batch(batch)
            both_s = time.perf_counter() - started
            started = time.perf_counter()
            board.add(batch, reference=pick(outputs, REFERENCE), simulated=pick(outputs, 1))
            added_s, seen = time.perf_counter() - started, seen + batch.sample_count
        started = time.perf_counter()
        board.scored()
        made_s = time.perf_counter() - started
    count = case.measured.sample_count
    score_s = added_s / samples * count + made_s / max(seen - 1, 1) * count
    return _Times(float_s / samples * count, max(both_s - float_s, 0.0) / samples * count, score_s)
