"""What a long run will cost, said before it begins."""

import time
from dataclasses import dataclass
from itertools import islice

from qdiag.core.formats.other_widths import schemes_at
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.pipeline.sensitivity import SensitivityOptions
from qdiag.simulate.case import Case
from qdiag.simulate.passes.lanes import Lane
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.sweeps.sensitivity import switchable_layers

_EXAMINE = 9.0
"""Float passes: the paired pass takes 3 to 4, the five losses another 5."""
_REPAIRS = 30.0
"""Networks that a harmed network's repairs, placebos and sequence take as a rule; a healthy one takes few."""
_VARIANT = 1.2
"""Of a float pass: the quantizers of one variant come on top of its arithmetic."""
_BACKWARD = 4.0
"""Forward in float and quantized, and back."""


@dataclass(frozen=True)
class Estimate:
    """Float passes over the measured samples, and the seconds of one.

    Attributes:
        sweeps: for sensitivity and other widths. repairs: if quantization turns out to cost something.
    """

    examine: float
    repairs: float
    sweeps: float
    pass_s: float
    sample_count: int

    @property
    def total_s(self) -> float:
        return (self.examine + self.repairs + self.sweeps) * self.pass_s


def estimate(session: Session, case: Case, options: DiagnoseOptions) -> Estimate:
    """What `qdiag diagnose` will take."""
    sweeps = 0.0
    if options.with_sensitivity:
        sweeps += _VARIANT * len(switchable_layers(case, "both")) / 2.0
    if options.with_bits:
        sweeps += _VARIANT * len(schemes_at(case.scheme))
    return Estimate(_EXAMINE, _VARIANT * _REPAIRS, sweeps, _pass_s(session, case), case.measured.sample_count)


def estimate_sweep(session: Session, case: Case, options: SensitivityOptions) -> Estimate:
    """What `qdiag sensitivity` will take: half a pass for each layer and way, and the backward pass."""
    ways = (1 + options.with_all_but) if options.with_exact else 0
    sweeps = _BACKWARD + _VARIANT * len(switchable_layers(case, options.part)) / 2.0 * ways
    return Estimate(0.0, 0.0, sweeps, _pass_s(session, case), case.measured.sample_count)


def _pass_s(session: Session, case: Case) -> float:
    """Seconds of a float pass over the measured data, from the second of two batches."""
    runner = LaneRunner([Lane(case.origin)])
    elapsed, samples = 0.0, 1
    with session.untimed_stage("estimate the time"):
        for batch in islice(case.measured, 2):
            started = time.perf_counter()
            runner.run_batch(batch)
            elapsed, samples = time.perf_counter() - started, batch.sample_count
    return elapsed / samples * case.measured.sample_count
