"""A layer with all that a table may say of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.core.measures.records import OpRecord
from qdiag.reading.layers.finding import LayerFinding, findings_by_layer
from qdiag.reading.words.layer_row import LayerRow, layer_rows, worst_first
from qdiag.reading.words.layers import drop_common_prefix, op_words

_PER_CAUSE = 4
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """One row.

    Attributes:
        short: the name without the modules that all layers share. op: what the layer computes, in short words.
        channel_shift: share of the noise power that constant shifts of its channels make; NaN where it is not known.
        alone_db: SQNR of the weakest output with only this layer quantized; NaN where it was not measured.
        repaired: the layer of the same name in the repaired network; None where there is none.
    """

    row: LayerRow
    short: str
    op: str
    findings: tuple[LayerFinding, ...] = ()
    channel_shift: float = math.nan
    alone_db: float = math.nan
    repaired: OpRecord | None = None

    @property
    def record(self) -> OpRecord:
        return self.row.record

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(finding.code for finding in self.findings))

    @property
    def is_at_fault(self) -> bool:
        return any(finding.verdict == "cause" for finding in self.findings)


def measured_entries(records: Sequence[OpRecord]) -> tuple[LayerEntry, ...]:
    """What was measured and nothing else, in graph order."""
    rows, short = layer_rows(records), _short(records)
    return tuple(LayerEntry(row, name, op_words(row.record)) for row, name in zip(rows, short, strict=True))


def diagnosed_entries(diagnosis: Diagnosis) -> tuple[LayerEntry, ...]:
    """One per record, in graph order, with findings, channel shifts, sensitivity, and what repairs make of it."""
    records = diagnosis.measurement.records
    shifts = {fact.layer: fact.mean_shift_fraction for fact in diagnosis.facts}
    swept = diagnosis.sensitivity.rows if diagnosis.sensitivity else ()
    alone = {row.layer: row.alone.output_sqnr_db for row in swept if row.alone is not None}
    found, after = findings_by_layer(diagnosis), diagnosis.repaired_network
    repaired = {record.name: record for record in after.records} if after is not None else {}
    return tuple(
        LayerEntry(
            row=row,
            short=short,
            op=op_words(row.record),
            findings=found.get(row.record.name, ()),
            channel_shift=shifts.get(row.record.name, math.nan),
            alone_db=alone.get(row.record.name, math.nan),
            repaired=repaired.get(row.record.name),
        )
        for row, short in zip(layer_rows(records), _short(records), strict=True)
    )


def shown_entries(diagnosis: Diagnosis) -> tuple[LayerEntry, ...]:
    """Those that a page with room for a few shows: see `worst_layers`."""
    names = {record.name for record in worst_layers(diagnosis)}
    return tuple(entry for entry in diagnosed_entries(diagnosis) if entry.record.name in names)


def shown_title(diagnosis: Diagnosis) -> str:
    """Of a table of `shown_entries`."""
    return "Layers at fault, and the weakest ones" if diagnosis.ranking.claimed else "The weakest layers"


def worst_layers(diagnosis: Diagnosis, count: int = _SHOWN) -> tuple[OpRecord, ...]:
    """The worst sites of every claimed cause, then the layers with the lowest local SQNR; in graph order."""
    by_name = {record.name: record for record in diagnosis.measurement.records}
    at_fault = [name for cause in diagnosis.ranking.claimed for name in cause.layers[:_PER_CAUSE]]
    weakest = [row.record.name for row in worst_first(layer_rows(diagnosis.measurement.records)) if not row.is_float]
    chosen = list(dict.fromkeys(name for name in (*at_fault, *weakest) if name in by_name))[:count]
    return tuple(sorted((by_name[name] for name in chosen), key=lambda record: record.index))


def constants_words(records: Sequence[OpRecord]) -> str:
    """Which values that layers read are the same for every sample: they stand in no chart or table of layers."""
    layers = {record.name for record in records}
    names = [name for name in dict.fromkeys(name for record in records for name in record.inputs) if name not in layers]
    if not names:
        return ""
    are = "constant is" if len(names) == 1 else "constants are"
    return f"{len(names)} {are} left out here and in the charts: {listed(names, 4)}."


def _short(records: Sequence[OpRecord]) -> list[str]:
    return drop_common_prefix([record.name for record in records]) if records else []
