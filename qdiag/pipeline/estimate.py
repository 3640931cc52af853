"""What a diagnosis will cost, said before it begins."""

import time
from dataclasses import dataclass

from qdiag.pipeline.diagnose import BITS, DiagnoseOptions
from qdiag.simulate.case import Case
from qdiag.simulate.sensitivity import switchable_layers
from qdiag.simulate.variants import VariantRunner

_EXAMINE = 9.0
"""Float passes: the paired pass takes 3 to 4, the five losses another 5."""
_REPAIRS = 30.0
"""Networks that a harmed network's repairs, placebos and sequence take as a rule; a healthy one takes few."""
_VARIANT = 1.2
"""Of a float pass: the quantizers of one variant come on top of its arithmetic."""


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


def estimate(case: Case, options: DiagnoseOptions) -> Estimate:
    """Times the second of two batches in float, and counts what will be run."""
    runner = VariantRunner(case.origin, [])
    elapsed, samples = 0.0, 1
    for i, batch in enumerate(case.measured):
        started = time.perf_counter()
        runner.run_batch(batch)
        elapsed, samples = time.perf_counter() - started, batch.sample_count
        if i == 1:
            break
    sweeps = 0.0
    if options.with_sensitivity:
        sweeps += _VARIANT * len(switchable_layers(case, "both")) / 2.0
    if options.with_bits:
        sweeps += _VARIANT * len(BITS)
    count = case.measured.sample_count
    return Estimate(_EXAMINE, _VARIANT * _REPAIRS, sweeps, elapsed / samples * count, count)
