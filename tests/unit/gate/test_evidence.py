"""A stored result that agrees with itself up to what two passes round, and no further."""

from dataclasses import replace

import pytest

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.gate.evidence import GateEvidence, why_contradictory
from tests.diagnoses import diagnosis


def with_error(found: Diagnosis, error: ErrorSums) -> GateEvidence:
    """The ranking starts from this error at the output, and the measurement keeps its own."""
    before = found.ranking.before
    (output,) = before.outputs
    before = replace(before, outputs=(replace(output, error=error),))
    return GateEvidence("d.json", found.measurement, replace(found.ranking, before=before))


def louder(error: ErrorSums, db: float) -> ErrorSums:
    return replace(error, error_sq_sum=error.error_sq_sum * 10.0 ** (db / 10.0))


@pytest.mark.parametrize("db", [0.0, 0.04, -0.04])
def test_what_two_passes_of_a_recurrent_network_round_is_one_error(db: float) -> None:
    found = diagnosis()
    (output,) = found.measurement.outputs
    assert why_contradictory(with_error(found, louder(output.error, db))) is None


@pytest.mark.parametrize("db", [0.06, -0.06, 3.0])
def test_a_larger_difference_is_another_error(db: float) -> None:
    found = diagnosis()
    (output,) = found.measurement.outputs
    reason = why_contradictory(with_error(found, louder(output.error, db)))
    assert reason == f"the ranking starts from another error at {output.name} than was measured"


def test_the_same_error_of_other_samples_is_another_error() -> None:
    found = diagnosis()
    (output,) = found.measurement.outputs
    other = replace(output.error, count=output.error.count + 1)
    assert "another error" in (why_contradictory(with_error(found, other)) or "")
