"""A baseline: what a gate found last time, small enough to be committed."""

import math
from dataclasses import dataclass, field

from qdiag.core.measures.task import Figure, TaskResult

BASELINE_SCHEMA_VERSION = 2

OUTCOMES_AT_MOST = 100_000
"""Samples whose outcomes are kept where each is a success or none: three bits in all, 50 KB as text."""
NUMBERS_AT_MOST = 10_000
"""The same where each has a number: 11 bytes as text."""

MUST_MATCH = ("data", "samples", "scheme")
"""Fingerprints without which two figures cannot be compared. The others only explain a change: a network that was
trained again has other weights, and that is what the gate is there for."""


@dataclass(frozen=True, slots=True)
class BaselineCause:
    """A claimed cause, and where."""

    code: str
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The figures that a gate compares with.

    Attributes:
        fingerprints: `data` and `scheme` as digests, `samples` as a count, `calibration`, `preprocessing`, `weights`,
            `architecture` and versions (`torch`, ...) to explain a change.
        figures: of the task, the one that judges first; sample by sample where there are not too many, so that a change
            is judged on pairs.
        output_sqnr_db: of the output that lost most.
        causes: claimed ones; None when no diagnosis was made, only a measurement.
        layer_sqnr_db: local, by layer.
    """

    fingerprints: dict[str, str]
    sample_count: int
    figures: tuple[Figure, ...] = ()
    output_sqnr_db: float = math.nan
    causes: tuple[BaselineCause, ...] | None = None
    layer_sqnr_db: dict[str, float] = field(default_factory=dict)
    schema_version: int = BASELINE_SCHEMA_VERSION

    @property
    def task(self) -> TaskResult:
        """The figures, as a measurement holds them."""
        return TaskResult(self.sample_count, self.figures)
