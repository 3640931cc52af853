"""One layer as the table, the chart and the panel of the page show it."""

import math
from dataclasses import dataclass

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.records import OpRecord
from qdiag.reading.layers.entry import LayerEntry, diagnosed_entries
from qdiag.reading.words.layer_row import LayerRow
from qdiag.reading.words.layers import format_words
from qdiag.reading.words.numbers import count_noun, significant, with_unit


@dataclass(frozen=True, slots=True)
class LayerView:
    """A layer with all that is known about it.

    Attributes:
        facts: None where the diagnosis has none for it.
    """

    entry: LayerEntry
    facts: LayerFacts | None

    @property
    def row(self) -> LayerRow:
        return self.entry.row

    @property
    def record(self) -> OpRecord:
        return self.entry.record


def layer_views(diagnosis: Diagnosis) -> tuple[LayerView, ...]:
    """One per record, in graph order."""
    facts = {fact.layer: fact for fact in diagnosis.facts}
    return tuple(LayerView(entry, facts.get(entry.record.name)) for entry in diagnosed_entries(diagnosis))


def range_words(low: float, high: float) -> str:
    """`-1.5 to 6`."""
    return f"{significant(low)} to {significant(high)}"


def percent_words(fraction: float) -> str:
    """`0.31 %`, `none` for an exact zero."""
    return "none" if fraction == 0.0 else f"{significant(100.0 * fraction)} %"


def fact_words(view: LayerView) -> list[tuple[str, str]]:
    """What the panel lists about a layer, label and text, without what the charts beside it show."""
    record, facts = view.record, view.facts
    rows = [("Operation", " → ".join(record.ops) or record.kind), ("Output", _size(record.output_shape))]
    if record.weight:
        weight = record.weight
        form = count_noun(weight.bits, "bit")
        if weight.quantizer is not None and weight.quantizer.scale is None:
            form += f", {format_words(weight.quantizer.type)}"
        rows.append(("Weight", f"{_size(weight.shape)}, {form}, {weight.granularity.replace('_', ' ')}"))
        median, least = with_unit(weight.channel_sqnr_db_median, "dB"), with_unit(weight.channel_sqnr_db_min, "dB")
        rows.append(("Weight SQNR", f"median channel {median}, worst {least}"))
    if record.operands:
        rows.append(("What it multiplies", _read_words(record)))
    if record.quantizer:
        grid = record.quantizer
        kind = "symmetric" if grid.symmetric else f"affine, zero point {grid.zero_point}"
        steps = f"{grid.bits} bits, {format_words(grid.type)}, {grid.level_count} levels"
        if grid.scale is not None:
            steps = f"{grid.bits} bits, scale {significant(grid.scale)}, {kind}"
        shared = f", shared with {grid.shared_with}" if grid.shared_with else ""
        rows.append(("Quantizer", f"{steps}{shared}"))
        if grid.scale is not None:
            local, propagated = significant(record.local_rmse_scales), significant(record.propagated_rmse_scales)
            rows.append(("Noise", f"{local} steps locally (0.29 is pure rounding), {propagated} propagated"))
        rows.append(("Clipped", percent_words(record.clipped_fraction)))
    rows.append(("Bias fraction", f"{percent_words(record.local.bias_fraction)} of the local noise power"))
    if not math.isnan(view.entry.channel_shift):
        rows.append(("Channel shift", f"{percent_words(view.entry.channel_shift)} of the local noise power"))
    if record.arithmetic:
        rows.append(("Arithmetic", f"{with_unit(record.arithmetic.sqnr_db, 'dB')} against the exact one"))
    if record.skip_reason:
        rows.append(("In float", record.skip_reason))
    if record.range:
        seen = record.range
        shape = f"{range_words(seen.min, seen.max)}, kurtosis {significant(seen.kurtosis)}"
        rows.append(("Output range", f"{shape}, {percent_words(seen.zero_fraction)} zeros"))
    if view.row.nonfinite_count:
        rows.append(("NaN or Inf", count_noun(view.row.nonfinite_count, "value")))
    return rows + (_more_facts(facts) if facts else [])


def _read_words(record: OpRecord) -> str:
    """How a layer rounds what it multiplies as it reads it."""
    if record.reads_signs:
        return "read as signs, +1 and -1, while others read the values as they are"
    what = " and ".join(dict.fromkeys(f"{one.bits} bits, {one.level_count} levels" for one in record.operands))
    return f"read in blocks: {what} by the scale of each block"


def _size(shape: tuple[int, ...]) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(map(str, shape)) or "one value"


def _more_facts(facts: LayerFacts) -> list[tuple[str, str]]:
    rows = []
    if facts.measured_range:
        rows.append(("On measured data", range_words(facts.measured_range.min, facts.measured_range.max)))
    if facts.clamp:
        at_bound = facts.saturated_at_bound_fraction
        cut = "" if math.isnan(at_bound) else f", {percent_words(at_bound)} at the upper bound"
        rows.append(("Fused clamp", range_words(*facts.clamp) + cut))
    if facts.weight:
        weight = facts.weight
        beyond = f"{weight.outlier_count} of {weight.count} beyond half of the largest"
        rows.append(("Weight tails", f"kurtosis {significant(weight.kurtosis)}, {beyond}"))
        shared, own = with_unit(weight.sqnr_per_tensor_db, "dB"), with_unit(weight.sqnr_per_channel_db, "dB")
        rows.append(("Weight scales", f"{shared} with one for the tensor, {own} with one per channel"))
    if facts.bias:
        bias = facts.bias
        over = f", {count_noun(len(bias.overflow_channels), 'channel')} overflow" if bias.overflow_channels else ""
        rows.append(("Bias", f"int{bias.bits}, largest {significant(bias.integer_max_abs)}{over}"))
    if facts.mac_count:
        rows.append(("Multiplications", f"{facts.mac_count:,} per sample"))
    return rows
