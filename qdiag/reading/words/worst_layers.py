"""Which layers a report looks at closely."""

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.records import OpRecord
from qdiag.reading.words.layer_row import layer_rows, worst_first

_PER_CAUSE = 4


def worst_layers(diagnosis: Diagnosis, count: int = 8) -> tuple[OpRecord, ...]:
    """The worst sites of every claimed cause, then the layers with the lowest local SQNR; in graph order."""
    by_name = {record.name: record for record in diagnosis.measurement.records}
    at_fault = [name for cause in diagnosis.ranking.claimed for name in cause.layers[:_PER_CAUSE]]
    weakest = [row.record.name for row in worst_first(layer_rows(diagnosis.measurement.records)) if not row.is_float]
    chosen = list(dict.fromkeys(name for name in (*at_fault, *weakest) if name in by_name))[:count]
    return tuple(sorted((by_name[name] for name in chosen), key=lambda record: record.index))
