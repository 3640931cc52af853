"""On how many samples what was not measured in full was measured."""

from dataclasses import replace

from qdiag.core.diagnosis import BitsPoint
from qdiag.core.measures.measurement import Measurement
from qdiag.reading.words.task.figures import reference_words
from qdiag.reading.words.task.sample_counts import are_on_different, float_there, losses_on
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


def test_a_score_on_some_samples_has_that_of_the_float_network_beside_it() -> None:
    before = diagnosis().ranking.before
    judged = before.task.judged
    assert judged is not None
    assert float_there(before) == f" (float network: {reference_words(judged)})"
    against = replace(judged, criterion=replace(judged.criterion, is_against_float=True))
    figures = tuple(against if figure is judged else figure for figure in before.task.figures)
    assert float_there(replace(before, task=replace(before.task, figures=figures))) == ""
    assert float_there(replace(before, task=replace(before.task, figures=()))) == ""


def test_widths_that_were_measured_on_different_samples_say_on_how_many() -> None:
    point = BitsPoint(8, diagnosis().ranking.before)
    few = replace(point.score.task, sample_count=64)
    other = BitsPoint(4, replace(point.score, task=few))
    assert are_on_different((other, point))
    assert not are_on_different((point,)) and not are_on_different((point, replace(point, bits=4)))
