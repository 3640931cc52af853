"""Columns of every table of layers, once for terminal, Markdown, HTML and notebook, in their order."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qdiag.core.measures.records import LOSSES
from qdiag.reading.layers.entry import LayerEntry
from qdiag.reading.words.numbers import NOTHING, decibels, percent

LAYER = "layer"
TABLE_WORDS = (
    "SQNR in dB, higher is better, 6 dB are one bit. Local: the layer alone, on float inputs quantized once. "
    "Propagated: the same layer inside the quantized network. Drop: propagated SQNR of the worst layer that feeds it, "
    "minus its own, both on the same samples. Expected: what rounding of its output alone would give."
)
"""Above or below every table of layers in a report."""
LOSS_WORDS = (
    "The five losses, as SQNR of the layer's output with one source of noise at a time, on float inputs: its input is "
    "quantized, its weight and bias are, its sums are limited to the accumulator, its output is rounded, or a clamp "
    "bounds its float output."
)
"""Above a table of `loss_columns`."""


@dataclass(frozen=True, slots=True)
class LayerColumn:
    """One column beside that of the name.

    Attributes:
        label: also a term of the glossary, where `qdiag.reading.terms` has one of that name.
        unit: empty for words and counts.
        importance: the column with the lowest one goes first where there is little room.
        value: what is sorted by; NaN where nothing is known. None of columns of words.
        words: what stands in the table.
        is_worst_high: the highest value is the worst.
        dash: what a dash in it stands for.
    """

    label: str
    unit: str
    importance: int
    words: Callable[[LayerEntry], str]
    value: Callable[[LayerEntry], float] | None = None
    is_worst_high: bool = False
    dash: str = "it is not defined"

    @property
    def is_words(self) -> bool:
        return self.value is None


def layer_columns(entries: Sequence[LayerEntry]) -> tuple[LayerColumn, ...]:
    """Those that say something of at least one of the layers."""
    columns = [*_COLUMNS, _NONFINITE, _FINDINGS]
    return tuple(column for column in columns if column.label in _ALWAYS or any(map(column.words, entries)))


def loss_columns() -> tuple[LayerColumn, ...]:
    """The five losses in dB, for a table of their own."""
    return tuple(map(_loss, LOSSES))


def column_title(column: LayerColumn) -> str:
    """`local [dB]`."""
    return f"{column.label} [{column.unit}]" if column.unit else column.label


def dash_words(columns: Sequence[LayerColumn], entries: Sequence[LayerEntry]) -> str:
    """What the dashes in a table stand for; empty where it has none."""
    dashed = [column for column in columns if any(column.words(entry) == NOTHING for entry in entries)]
    return " ".join(f"A dash under {column.label} means that {column.dash}." for column in dashed)


def _weight_db(entry: LayerEntry) -> float:
    """Median over channels, which ranks layers rightly where one channel holds all the signal."""
    weight = entry.record.weight
    if weight is None:
        return math.nan
    is_kept = weight.own_format is not None and weight.error.sqnr_db == math.inf
    return math.inf if is_kept else weight.channel_sqnr_db_median


def _expected(entry: LayerEntry) -> str:
    return "float" if entry.row.is_float else decibels(entry.record.expected_sqnr_db)


def _clipped(entry: LayerEntry) -> float:
    return entry.record.clipped_fraction if entry.record.quantizer is not None else math.nan


def _arithmetic_db(entry: LayerEntry) -> float:
    return entry.record.arithmetic.sqnr_db if entry.record.arithmetic is not None else math.nan


def _repaired_db(entry: LayerEntry) -> float:
    return entry.repaired.local.sqnr_db if entry.repaired is not None and not entry.row.is_float else math.nan


def _known(words: Callable[[float], str], value: Callable[[LayerEntry], float]) -> Callable[[LayerEntry], str]:
    """Empty where nothing is known: a column of nothing else is left out."""

    def of(entry: LayerEntry) -> str:
        own = value(entry)
        return "" if math.isnan(own) else words(own)

    return of


def _loss(name: str) -> LayerColumn:
    def value(entry: LayerEntry) -> float:
        losses = entry.record.losses
        return losses.by_name[name].sqnr_db if losses is not None else math.nan

    return LayerColumn(
        name, "dB", 70, lambda entry: decibels(value(entry)), value, dash="there is nothing to lose there"
    )


_UNSEEN = "no finite value was measured"
_COLUMNS = (
    LayerColumn("operation", "", 50, lambda e: e.op),
    LayerColumn("weight", "dB", 60, _known(decibels, _weight_db), _weight_db),
    LayerColumn("local", "dB", 100, lambda e: decibels(e.row.local_db), lambda e: e.row.local_db, dash=_UNSEEN),
    LayerColumn(
        *("propagated", "dB", 99, lambda e: decibels(e.row.propagated_db), lambda e: e.row.propagated_db),
        dash=_UNSEEN,
    ),
    LayerColumn(
        *("drop", "dB", 80, lambda e: decibels(e.row.drop_db), lambda e: e.row.drop_db),
        is_worst_high=True,
        dash="no measured layer feeds this one, or one of the two SQNR is not finite",
    ),
    LayerColumn(
        *("expected", "dB", 90, _expected, lambda e: e.record.expected_sqnr_db),
        dash="the float output is zero everywhere",
    ),
    LayerColumn(
        *("bias fraction", "%", 30, lambda e: percent(e.record.local.bias_fraction)),
        value=lambda e: e.record.local.bias_fraction,
        is_worst_high=True,
    ),
    LayerColumn(
        *("channel shift", "%", 25, _known(percent, lambda e: e.channel_shift)),
        value=lambda e: e.channel_shift,
        is_worst_high=True,
    ),
    LayerColumn("clipped", "%", 40, _known(percent, _clipped), _clipped, is_worst_high=True),
    LayerColumn("arithmetic", "dB", 97, _known(decibels, _arithmetic_db), _arithmetic_db),
    LayerColumn("local, repaired", "dB", 70, _known(decibels, _repaired_db), _repaired_db),
    LayerColumn("alone", "dB", 65, _known(decibels, lambda e: e.alone_db), lambda e: e.alone_db),
)
_NONFINITE = LayerColumn(
    *("NaN, Inf", "count", 95, lambda e: str(e.row.nonfinite_count) if e.row.nonfinite_count else ""),
    value=lambda e: e.row.nonfinite_count,
    is_worst_high=True,
)
_FINDINGS = LayerColumn("findings", "", 85, lambda e: " ".join(e.codes))
_ALWAYS = {"operation", "local", "propagated", "drop", "expected"}
