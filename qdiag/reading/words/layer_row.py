"""What the table, the CSV file and the plot say about one layer, beyond what its record holds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qdiag.core.measures.records import OpRecord

BELOW_EXPECTED_DB = 20.0
"""A hundred times the noise power of rounding the output alone: a layer below that is marked."""


_EXACT_ABOVE_DB = 20.0
"""Above the highest SQNR that the rounding of an output leaves, decibels say nothing any more."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A record among its neighbours.

    Attributes:
        drop_db: propagated SQNR of the worst layer that feeds this one minus its own, both on the same samples; NaN
            where either is not finite.
        is_drop_on_fewer: those are fewer than the layer's own propagated SQNR was measured on.
    """

    record: OpRecord
    drop_db: float
    is_drop_on_fewer: bool = False

    @property
    def local_db(self) -> float:
        return self.record.local.sqnr_db

    @property
    def propagated_db(self) -> float:
        return self.record.propagated.sqnr_db

    @property
    def is_float(self) -> bool:
        """Nothing in it is quantized; with `--weights-only` a layer has no output quantizer but a quantized weight."""
        return not self.record.is_quantized

    @property
    def nonfinite_count(self) -> int:
        """NaN and Inf that quantization brought in or that were there, whichever is seen more often."""
        sums = (self.record.local, self.record.propagated)
        return max(max(s.reference_nonfinite_count, s.simulated_nonfinite_count) for s in sums)

    @property
    def is_below_expected(self) -> bool:
        """More than one bit is lost locally beyond the rounding of the output."""
        return self.local_db < self.record.expected_sqnr_db - BELOW_EXPECTED_DB


def layer_rows(records: Sequence[OpRecord]) -> tuple[LayerRow, ...]:
    """One row per record, in the same order."""
    by_name, rows = {record.name: record for record in records}, []
    for record in records:
        feeding = [by_name[name] for name in record.inputs if name in by_name]
        # of layers that were all measured on more samples than most, the figures that stand beside the drop
        on_more = all(one.on_fewer is not None for one in (record, *feeding))
        own, *before = [_propagated_db(one, on_more=on_more) for one in (record, *feeding)]
        known = [value for value in before if not math.isnan(value)]
        drop = min(known) - own if known else math.nan
        is_on_fewer = record.on_fewer is not None and not on_more
        rows.append(LayerRow(record, drop if math.isfinite(drop) else math.nan, is_on_fewer))
    return tuple(rows)


def _propagated_db(record: OpRecord, *, on_more: bool) -> float:
    return (record if on_more else record.compared).propagated.sqnr_db


def exact_from_db(rows: Iterable[LayerRow]) -> float:
    """From here on a layer counts as exact, in pictures, where its figure would press all others together."""
    expected = [row.record.expected_sqnr_db for row in rows if math.isfinite(row.record.expected_sqnr_db)]
    return max(expected) + _EXACT_ABOVE_DB if expected else math.inf


def worst_first(rows: Iterable[LayerRow], key: str = "local") -> list[LayerRow]:
    """Lowest SQNR first, in graph order among equals; undefined figures last, float layers behind quantized ones.

    Args:
        key: `local` or `propagated`.
    """

    def rank(row: LayerRow) -> tuple[bool, bool, float, int]:
        value = row.local_db if key == "local" else row.propagated_db
        undefined = math.isnan(value)
        return (row.is_float, undefined, 0.0 if undefined else value, row.record.index)

    return sorted(rows, key=rank)


def weakest(rows: Iterable[LayerRow], key: str = "local") -> LayerRow | None:
    """The quantized layer with the lowest SQNR; None when no layer lost anything."""
    for row in worst_first(rows, key):
        value = row.local_db if key == "local" else row.propagated_db
        return None if row.is_float or math.isnan(value) or value == math.inf else row
    return None
