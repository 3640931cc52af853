"""On how many samples, and on how many layers, what was not measured in full was measured."""

from collections.abc import Sequence

from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import BitsPoint
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.sensitivity import Sensitivity
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.task.figures import reference_words


def on_words(few: int, whole: int, records: Sequence[OpRecord]) -> str:
    """`on 64 of 400 samples`, or `on 64 of 400 samples (2 layers with few values on all)`; empty where these are all.

    Args:
        few: samples on which most layers were measured. records: of all layers.
    """
    if few >= whole:
        return ""
    sparse = sum(record.on_fewer is not None for record in records)
    on_all = f" ({count_noun(sparse, 'layer')} with few values on all)" if sparse else ""
    return f"on {few} of {count_noun(whole, 'sample')}{on_all}"


def layers_on(measurement: Measurement) -> str:
    """On how many samples layers were measured; empty where all were on all of them."""
    whole = measurement.data.measured_count
    few = measurement.layer_sample_count
    return on_words(few if few is not None else whole, whole, measurement.records)


def losses_on(measurement: Measurement) -> str:
    """`on 32 of 500 samples`, or `on 32 of 500 samples (3 layers on all)`; empty where the five losses were measured on
    all of them, or not at all.
    """
    counts = [record.losses.sample_count for record in measurement.records if record.losses is not None]
    whole = measurement.data.measured_count
    few = {count for count in counts if count is not None and count < whole}
    if not few:
        return ""
    others = sum(count not in few for count in counts)
    on_all = f" ({count_noun(others, 'layer')} on all)" if others else ""
    return f"on {min(few)} of {count_noun(whole, 'sample')}{on_all}"


def sweep_words(sweep: Sensitivity) -> str:
    """Which layers were measured, and on how much; empty where all were, on all samples."""
    whole = sweep.quantized.task.sample_count
    scores = [row.alone for row in sweep.most_sensitive if row.alone is not None]
    least = min((score.task.sample_count for score in scores), default=whole)
    are_same = all(score.task.sample_count == least for score in scores)
    there = float_there(scores[0]) if scores and are_same else " at least"
    on = f" on {least} of {count_noun(whole, 'sample')}{there}" if least < whole else ""
    if not sweep.estimated_count:
        return f"Measured{on}." if on else ""
    measured, left = len(sweep.most_sensitive), count_noun(sweep.estimated_count, "layer")
    seen = sweep.estimate_sample_count
    behind = f", made on {count_noun(seen, 'sample')}," if seen is not None and seen < whole else ""
    return (
        f"{measured} layers were measured{on}: those that the estimate{behind} puts on top, and some drawn at random. "
        f"Of {left} there is the estimate alone."
    )


def is_on_few(sweep: Sensitivity) -> bool:
    """Some layers were measured on fewer samples than the whole quantized network."""
    scores = [row.alone for row in sweep.rows if row.alone is not None]
    return any(score.task.sample_count < sweep.quantized.task.sample_count for score in scores)


def are_on_different(bits: Sequence[BitsPoint]) -> bool:
    """Some widths were measured on fewer samples than others."""
    return len({point.score.task.sample_count for point in bits}) > 1


def float_there(score: Score) -> str:
    """` (float network: 84.4 % top-1)`, of the samples of a score; empty where that follows from how it is judged."""
    judged = score.task.judged
    if judged is None or judged.criterion.is_against_float:
        return ""
    return f" (float network: {reference_words(judged)})"
