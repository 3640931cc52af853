"""Stored diagnoses in Python: read, compared, held against limits."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from qdiag.errors import telling_hints

if TYPE_CHECKING:  # the package root imports this file, and starts fast
    from qdiag.core.compare import Comparison
    from qdiag.core.diagnosis import Diagnosis
    from qdiag.core.gate import GateResult
    from qdiag.core.measures.measurement import Measurement

Stored = Union["Diagnosis", str, Path]
"""A diagnosis, or where it is stored."""


@telling_hints()
def load_diagnosis(path: str | Path) -> "Diagnosis":
    """A stored diagnosis: `diagnosis.json`, or the folder that `qdiag diagnose -o` or `found.report(folder)` wrote.

    Raises:
        LoadError: there is no such file, or it holds something else.
    """
    from qdiag.writers.json.diagnosis import read_diagnosis

    return read_diagnosis(path)


@telling_hints()
def compare(before: Stored, after: Stored, *, force: bool = False) -> "Comparison":
    """What got better and what got worse between two diagnoses: what `qdiag compare` prints.

    Args:
        before, after: diagnoses, or where they are stored.
        force: compare what was measured on other samples, or judged by another figure.

    Raises:
        LoadError: one of them cannot be read.
        ConfigError: the two cannot be compared.
    """
    from qdiag.compare.diagnoses import compare_diagnoses

    (one, source), (other, its_source) = map(_named, (before, after))
    return compare_diagnoses(one, other, source_before=source, source_after=its_source, force=force)


@telling_hints()
def gate(result: "Measurement | Stored", **limits: Any) -> "GateResult":
    """A result held against limits: what `qdiag gate` prints; `status` says how it ended, and `checks` why.

    Args:
        result: a diagnosis, a measurement, or where a diagnosis is stored.
        limits: by the keys of a gate file: `max_drop=1`, `min_sqnr=20`, `forbid=["QD301"]`, ... (docs/ci.md).

    Raises:
        LoadError: the result cannot be read.
        ConfigError: an unknown limit, a value that cannot be one, or no limit at all.
    """
    from qdiag.config.gate_file import thresholds_of
    from qdiag.core.measures.measurement import Measurement
    from qdiag.gate.evidence import GateEvidence
    from qdiag.gate.judge import judge
    from qdiag.reading.words.causes import commands

    thresholds = thresholds_of(limits, "qdiag.gate")
    if isinstance(result, Measurement):
        return judge(GateEvidence(result.model.source, result), thresholds)
    found, source = _named(result)
    return judge(GateEvidence(source, found.measurement, found.ranking, commands(found)), thresholds)


def _named(given: Stored) -> "tuple[Diagnosis, str]":
    """The diagnosis, and what to call it."""
    if isinstance(given, str | Path):
        return load_diagnosis(given), str(given)
    return given, given.measurement.model.source
