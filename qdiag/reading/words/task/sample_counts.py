"""On how many samples, and on how many layers, what was not measured in full was measured."""

from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.sensitivity import Sensitivity
from qdiag.reading.words.numbers import count_noun


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
    counts = {row.alone.task.sample_count for row in sweep.most_sensitive if row.alone is not None}
    few = [count for count in counts if count < whole]
    on = f" on {min(few)} of {count_noun(whole, 'sample')}" if few else ""
    if not sweep.estimated_count:
        return f"Measured{on}." if on else ""
    measured, left = len(sweep.most_sensitive), count_noun(sweep.estimated_count, "layer")
    seen = sweep.estimate_sample_count
    behind = f", made on {count_noun(seen, 'sample')}," if seen is not None and seen < whole else ""
    return (
        f"{measured} layers were measured{on}: those that the estimate{behind} puts on top, and some drawn at random. "
        f"Of {left} there is the estimate alone."
    )
