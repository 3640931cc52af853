"""One layer as the table, the chart and the panel of the page show it."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.records import OpRecord
from qdiag.reading.words.causes import VERDICT_WORDS, cause_title
from qdiag.reading.words.evidence import evidence_words
from qdiag.reading.words.layer_row import LayerRow, layer_rows
from qdiag.reading.words.layers import drop_common_prefix, format_words, op_words
from qdiag.reading.words.numbers import count_noun, significant, with_unit


@dataclass(frozen=True, slots=True)
class LayerFinding:
    """One finding at one layer.

    Attributes:
        verdict: of the suspect it belongs to; empty for findings that no repair tests.
        details: channels and evidence, one phrase each.
    """

    code: str
    title: str
    verdict: str
    verdict_words: str
    channels: tuple[int, ...]
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayerView:
    """A layer with all that is known about it.

    Attributes:
        short: the name without the modules that all layers share.
        alone_db: SQNR at the output with only this layer quantized; NaN when not measured.
        facts: None where the diagnosis has none for it.
    """

    row: LayerRow
    short: str
    op: str
    findings: tuple[LayerFinding, ...]
    alone_db: float
    facts: LayerFacts | None

    @property
    def record(self) -> OpRecord:
        return self.row.record

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(finding.code for finding in self.findings))

    @property
    def is_at_fault(self) -> bool:
        return any(finding.verdict == "cause" for finding in self.findings)

    @property
    def weight_db(self) -> float:
        """Median over channels, which ranks layers rightly where one channel holds all the signal."""
        return self.record.weight.channel_sqnr_db_median if self.record.weight else math.nan


def layer_views(diagnosis: Diagnosis) -> tuple[LayerView, ...]:
    """One per record, in graph order."""
    records = diagnosis.measurement.records
    facts = {fact.layer: fact for fact in diagnosis.facts}
    found, alone = _findings(diagnosis), _alone(diagnosis)
    short = drop_common_prefix([record.name for record in records]) if records else []
    return tuple(
        LayerView(
            row=row,
            short=name,
            op=op_words(row.record),
            findings=tuple(found.get(row.record.name, ())),
            alone_db=alone.get(row.record.name, math.nan),
            facts=facts.get(row.record.name),
        )
        for row, name in zip(layer_rows(records), short, strict=True)
    )


def channel_words(channels: tuple[int, ...], shown: int = 8) -> str:
    """`channel 3`, `channels 3, 7 and 11`-like, cut after a few."""
    if not channels:
        return ""
    return f"{'channel' if len(channels) == 1 else 'channels'} {listed(channels, shown)}"


def range_words(low: float, high: float) -> str:
    """`-1.5 to 6`."""
    return f"{significant(low)} to {significant(high)}"


def percent_words(fraction: float) -> str:
    """`0.31 %`, `none` for an exact zero."""
    return "none" if fraction == 0.0 else f"{significant(100.0 * fraction)} %"


def _findings(diagnosis: Diagnosis) -> Mapping[str, list[LayerFinding]]:
    ranking = diagnosis.ranking
    verdicts: dict[tuple[str, str], str] = {}
    for cause in reversed(ranking.causes):
        for finding in cause.findings:
            verdicts.update({(finding.code, layer): cause.verdict for layer in finding.layers})
    found: dict[str, list[LayerFinding]] = defaultdict(list)
    for finding in (*(f for cause in ranking.causes for f in cause.findings), *ranking.findings):
        for site in finding.sites:
            inputs = f"inputs {channel_words(site.inputs)}" if site.inputs else ""
            details = (channel_words(site.channels), inputs, *map(evidence_words, site.evidence))
            verdict = verdicts.get((finding.code, site.layer), "")
            view = LayerFinding(
                finding.code,
                cause_title(finding.code),
                verdict,
                VERDICT_WORDS.get(verdict, "seen"),
                site.channels,
                tuple(filter(None, details)),
            )
            if view not in found[site.layer]:
                found[site.layer].append(view)
    return found


def _alone(diagnosis: Diagnosis) -> dict[str, float]:
    rows = diagnosis.sensitivity.rows if diagnosis.sensitivity else ()
    return {row.layer: row.alone.output_sqnr_db for row in rows if row.alone is not None}


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
    if not math.isnan(facts.mean_shift_fraction):
        rows.append(("Channel shift", f"{percent_words(facts.mean_shift_fraction)} of the local noise power"))
    if facts.mac_count:
        rows.append(("Multiplications", f"{facts.mac_count:,} per sample".replace(",", "\N{NARROW NO-BREAK SPACE}")))
    return rows
