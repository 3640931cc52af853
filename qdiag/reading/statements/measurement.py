"""What a measurement says without a diagnosis, sentence by sentence."""

from qdiag.core.measures.measurement import Measurement
from qdiag.reading.layer_names import layer_named
from qdiag.reading.layers.weakest import propagated_words
from qdiag.reading.statements.base import LAYERS_TOLD, Places, Statement, numbered
from qdiag.reading.words.layer_row import layer_rows, worst_first
from qdiag.reading.words.numbers import decibel_words
from qdiag.reading.words.task.harm import measured_harm_words


def measurement_statements(measurement: Measurement) -> tuple[Statement, ...]:
    """Harm, where the propagated SQNR becomes low, the layers that add most noise, and notes."""
    places, rows = Places(measurement), layer_rows(measurement.records)
    told = [row for row in worst_first(rows) if not row.is_float][:LAYERS_TOLD]
    layers = (
        (
            f"{layer_named(row.record.name)}: local SQNR {decibel_words(row.local_db)}, propagated SQNR "
            f"{decibel_words(row.propagated_db)}.",
            places.of(row.record),
        )
        for row in told
    )
    return (
        Statement("harm", measured_harm_words(measurement), ("/task", "/outputs")),
        Statement("propagated", propagated_words(measurement, rows), ("/records", "/outputs")),
        *numbered("layer", layers),
        *numbered("note", ((note, (f"/notes/{i}",)) for i, note in enumerate(measurement.notes))),
    )
