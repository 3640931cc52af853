"""A baseline: what a gate found last time, small enough to be committed."""

import math
from dataclasses import dataclass, field

from qdiag.core.measures.outcomes import SampleOutcomes
from qdiag.core.measures.task import PairedCounts

BASELINE_SCHEMA_VERSION = 1

OUTCOMES_AT_MOST = 100_000
"""Samples whose outcomes are kept: three bits each, 50 KB as text."""

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
        top1: paired counts, float network and quantized one; None without labels.
        agreement_count: samples with the same top-1, of `sample_count`; None without logits.
        output_sqnr_db: of the output that lost most.
        outcomes: sample by sample, so that a change is judged on pairs; None when there are none, or too many.
        causes: claimed ones; None when no diagnosis was made, only a measurement.
        layer_sqnr_db: local, by layer.
    """

    fingerprints: dict[str, str]
    sample_count: int
    top1: PairedCounts | None = None
    agreement_count: int | None = None
    output_sqnr_db: float = math.nan
    causes: tuple[BaselineCause, ...] | None = None
    layer_sqnr_db: dict[str, float] = field(default_factory=dict)
    outcomes: SampleOutcomes | None = None
    schema_version: int = BASELINE_SCHEMA_VERSION
