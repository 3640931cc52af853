"""On how many samples what was not measured in full was measured."""

from dataclasses import replace

from qdiag.core.measures.measurement import Measurement
from qdiag.reading.words.task.sample_counts import losses_on
from tests.diagnoses import diagnosis


def with_counts(*counts: int | None) -> Measurement:
    """The losses of the first layers on so many samples each; of all others they were not measured."""
    found = diagnosis().measurement
    losses = next(record.losses for record in found.records if record.losses is not None)
    rows = [
        replace(record, losses=replace(losses, sample_count=counts[i]) if i < len(counts) else None)
        for i, record in enumerate(found.records)
    ]
    return replace(found, records=tuple(rows))


def test_losses_are_said_to_be_of_some_samples_where_they_are() -> None:
    whole = diagnosis().measurement.data.measured_count
    assert losses_on(with_counts(32, 32)) == f"on 32 of {whole} samples"
    assert losses_on(with_counts(32, whole)) == f"on 32 of {whole} samples (1 layer on all)"
    assert losses_on(with_counts(32, whole, whole)) == f"on 32 of {whole} samples (2 layers on all)"
    assert losses_on(with_counts(whole, whole)) == losses_on(with_counts()) == losses_on(with_counts(None)) == ""
