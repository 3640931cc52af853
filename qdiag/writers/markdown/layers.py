"""The part of report.md that goes layer by layer: SQNR, ranges, BatchNorm, losses."""

import html
import math
from collections.abc import Sequence
from statistics import median_high

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.records import LOSSES, OpRecord
from qdiag.core.printable import printable
from qdiag.reading.layers.columns import LAYER, column_title, dash_words, layer_columns
from qdiag.reading.layers.entry import shown_entries, shown_title, worst_layers
from qdiag.reading.layers.repaired import table_words
from qdiag.reading.words.bn import channel_list, cost_sentence, costliest, dead_sentence
from qdiag.reading.words.layer_row import layer_rows, worst_first
from qdiag.reading.words.numbers import count_noun, number, significant
from qdiag.reading.words.task.sample_counts import losses_on
from qdiag.writers.markdown.text import PictureLink, code, fold, picture, pictures_of, section, table, text

_ROWS = 8


def layers_section(diagnosis: Diagnosis, links: Sequence[PictureLink]) -> str:
    """The layers that a report looks at closely, each with its own pictures."""
    entries = shown_entries(diagnosis)
    columns = layer_columns(entries)
    header = ["# #", LAYER, *(f"{column_title(column)}{'' if column.is_words else ' #'}" for column in columns)]
    rows = [
        (str(entry.record.index), code(entry.record.name), *(text(column.words(entry)) for column in columns))
        for entry in entries
    ]
    everywhere = f"All {len(diagnosis.measurement.records)} layers are in [layers.csv](layers.csv)."
    intro = " ".join(filter(None, (table_words(diagnosis), dash_words(columns, entries), everywhere)))
    own = [
        fold(f"Channels and outputs of {_html(entry.record)}", images)
        for entry in entries
        if (images := [picture(link) for link in links if link.layer == entry.record.name])
    ]
    return section(
        shown_title(diagnosis),
        *((intro, table(header, rows)) if rows else ("No layer was measured.",)),
        *pictures_of(links, "sqnr", "mse"),
        *own,
    )


def _html(record: OpRecord) -> str:
    return f"<code>{html.escape(printable(' '.join(record.name.split())), quote=False)}</code>"


def ranges_section(diagnosis: Diagnosis, links: Sequence[PictureLink]) -> str:
    """Weights whose widest channel stretches furthest, and outputs whose ranges differ between the two data sets."""
    weights = sorted(
        ((spread, facts) for facts in diagnosis.facts if math.isfinite(spread := _channel_spread(facts))),
        key=lambda pair: -pair[0],
    )
    weight_rows = [
        (
            code(facts.layer),
            f"{spread:.3g} x",
            f"{significant(min(facts.weight.channel_min))} to {significant(max(facts.weight.channel_max))}",
            significant(facts.weight.kurtosis),
            f"{number(facts.weight.sqnr_per_tensor_db)} → {number(facts.weight.sqnr_per_channel_db)} dB",
        )
        for spread, facts in weights[:_ROWS]
        if facts.weight is not None
    ]
    weight_header = (
        "layer",
        "widest over median channel #",
        "range",
        "kurtosis #",
        "median channel's SQNR, one scale → one per channel",
    )
    folded = ", BatchNorm folded" if diagnosis.measurement.capture.folded_batchnorms else ""
    output_rows = _output_rows(diagnosis)
    output_header = ("layer", "calibration data", "measured data", "quantizer")
    return section(
        "Ranges",
        *((f"Weights{folded}, widest spread first.", table(weight_header, weight_rows)) if weight_rows else ()),
        *(
            ("Outputs of the layers above, smallest to largest float value.", table(output_header, output_rows))
            if output_rows
            else ()
        ),
        *pictures_of(links, "ranges"),
    )


def _channel_spread(facts: LayerFacts) -> float:
    """Largest |weight| of the widest channel over that of the median one; NaN without finite weights."""
    widths = [width for width in (facts.weight.channel_max_abs if facts.weight else ()) if math.isfinite(width)]
    middle = median_high(widths) if widths else 0.0
    return max(widths) / middle if middle > 0.0 else math.nan


def _output_rows(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    facts = {own.layer: own for own in diagnosis.facts}
    rows: list[tuple[str, ...]] = []
    for record in worst_layers(diagnosis, _ROWS):
        own = facts.get(record.name)
        measured = own.measured_range if own is not None else None
        if record.range is None:
            continue
        rows.append(
            (
                code(record.name),
                f"{significant(record.range.min)} to {significant(record.range.max)}",
                f"{significant(measured.min)} to {significant(measured.max)}" if measured else "",
                f"{significant(record.quantizer.range_min)} to {significant(record.quantizer.range_max)}"
                if record.quantizer
                else "float",
            )
        )
    return rows


def batchnorm_section(diagnosis: Diagnosis, links: Sequence[PictureLink]) -> str:
    """What the audit saw; whether it matters is for the causes to say."""
    audit = diagnosis.batchnorms
    if audit is None or not audit.records:
        return ""
    sentences = [f"{count_noun(len(audit.records), 'BatchNorm')}: {text(dead_sentence(audit))}."]
    worst = costliest(audit)
    if worst is not None:
        sentences.append(f"{text(cost_sentence(worst))}.")
    sentences.append("Whether that costs accuracy is what the causes above were measured for.")
    costly = sorted((r for r in audit.records if r.range_cost is not None), key=lambda r: -_cost_bits(r.range_cost))
    rows = [
        (
            code(record.label),
            code(record.layer.name) if record.layer else "",
            channel_list(record.range_cost.channels),
            "dead" if record.range_cost.is_dead else "live",
            number(record.range_cost.cost_bits),
            significant(record.gain_max_abs),
            significant(record.gain_median_abs),
        )
        for record in costly[:_ROWS]
        if record.range_cost is not None
    ]
    header = (
        "BatchNorm",
        "folds into",
        "widest channels",
        "",
        "cost the others [bits] #",
        "largest gain #",
        "median #",
    )
    return section("BatchNorm audit", " ".join(sentences), table(header, rows), *pictures_of(links, "batchnorm"))


def _cost_bits(cost: object) -> float:
    bits = float(getattr(cost, "cost_bits", math.nan))
    return bits if not math.isnan(bits) else -math.inf


def losses_section(diagnosis: Diagnosis, links: Sequence[PictureLink]) -> str:
    """Which quantizer makes the noise of the weakest layers."""
    rows: list[tuple[str, ...]] = []
    for row in worst_first(layer_rows(diagnosis.measurement.records)):
        if row.record.losses is None or len(rows) == _ROWS:
            continue
        powers = [value if math.isfinite(value) else 0.0 for value in row.record.losses.powers]
        total = sum(powers)
        shares = [f"{100.0 * power / total:.1f} %" if total > 0.0 else "no noise" for power in powers]
        local = row.record.local.mse
        rows.append((code(row.record.name), *shares, f"{significant(total / local)} x" if local > 0.0 else ""))
    header = ("layer", *(f"{name} #" for name in LOSSES), "sum over local noise #")
    on = f", {losses_on(diagnosis.measurement)}" if losses_on(diagnosis.measurement) else ""
    intro = (
        f"Noise power with one quantizer on at a time{on}, as shares of the sum of the five "
        "([arXiv 1803.08607](https://arxiv.org/abs/1803.08607), section 2), for the weakest layers. The five do not "
        "add up exactly: where the sum is not 1 x the layer's own noise they reinforce or cancel each other."
    )
    return section("The five losses", *((intro, table(header, rows), *pictures_of(links, "losses")) if rows else ()))
