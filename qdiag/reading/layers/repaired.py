"""The layers of the repaired network beside those of the quantized one as it is."""

from collections.abc import Iterator
from dataclasses import replace

from qdiag.core.causes.repair_traits import repair_title
from qdiag.core.diagnosis import Diagnosis, RepairedNetwork
from qdiag.core.listed import listed
from qdiag.core.measures.records import OpRecord
from qdiag.reading.layer_names import layer_named
from qdiag.reading.layers.columns import TABLE_WORDS
from qdiag.reading.layers.weakest import drop_words
from qdiag.reading.words.layer_row import layer_rows, weakest, worst_first
from qdiag.reading.words.numbers import decibel_words, number
from qdiag.reading.words.task.sample_counts import layers_on, on_words

_TOLD = 3
SAME_DB = 0.5
"""Smaller differences are not told."""


def with_repairs(diagnosis: Diagnosis) -> Diagnosis | None:
    """The diagnosis with the layers of the repaired network in place of those as they are; None without that one."""
    found = diagnosis.repaired_network
    if found is None:
        return None
    return replace(diagnosis, measurement=replace(diagnosis.measurement, records=found.records))


def repaired_on(diagnosis: Diagnosis) -> str:
    """`on 64 of 400 samples`; empty where the repaired network was measured on all of them, or not at all."""
    found, whole = diagnosis.repaired_network, diagnosis.measurement.data.measured_count
    return on_words(found.sample_count, whole, found.records) if found is not None else ""


def repaired_title(diagnosis: Diagnosis) -> str:
    """What was done to the repaired network, and on how many samples its layers were measured, in sentences."""
    found, ranking = diagnosis.repaired_network, diagnosis.ranking
    if found is None:
        return ""
    if found.settings:
        way = ranking.way_around
        done = f"With another scheme: {repair_title(way.repair)}" if way is not None else "With another scheme"
    elif not ranking.waterfall:
        done = "The repaired network"
    else:
        done = f"After the repair sequence: {listed([repair_title(step.repair) for step in ranking.waterfall], 3)}"
    on = repaired_on(diagnosis)
    return f"{done}. Each layer is measured beside the repaired float network{f', {on}' if on else ''}."


def table_words(diagnosis: Diagnosis) -> str:
    """Above or below every table of layers in a report: what its columns are, and on how many samples."""
    on, after = layers_on(diagnosis.measurement), repaired_on(diagnosis)
    drops = drop_words(diagnosis.measurement, layer_rows(diagnosis.measurement.records))
    apart = f", {after or 'on all samples'}" if after != on else ""
    repaired = f"Local, repaired: the local SQNR of the layer in the repaired network{apart}."
    sentences = TABLE_WORDS, repaired if diagnosis.repaired_network else "", f"Measured {on}." if on else "", drops
    return " ".join(filter(None, sentences))


def repaired_words(diagnosis: Diagnosis, *, change: str = "") -> str:
    """What the repairs of the sequence make of the weakest layers, in one or two sentences; empty where none is made.

    Args:
        change: the change of scheme that was made in place of the sequence, of which this is then said.
    """
    found = diagnosis.repaired_network
    if found is None or bool(found.settings) != bool(change):
        return ""
    told = list(_changes(diagnosis, found))
    if not told:
        return ""
    opening = ", ".join(filter(None, (f"With {change}" if change else "After these repairs", repaired_on(diagnosis))))
    where = f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 else told[0]
    sentence = f"{opening}, the local SQNR changes {where}."
    last = weakest(layer_rows(found.records))
    if last is None:
        return sentence
    return f"{sentence} The lowest local SQNR is then {_with_unit(last.record)}, at {layer_named(last.record.name)}."


def _changes(diagnosis: Diagnosis, found: RepairedNetwork) -> Iterator[str]:
    """Of the layers that were weakest, weakest first."""
    after = {record.name: record for record in found.records}
    known = [row.record for row in worst_first(layer_rows(diagnosis.measurement.records)) if not row.is_float]
    pairs = [(record, after[record.name]) for record in known if record.name in after]
    changed = [pair for pair in pairs if abs(pair[1].local.sqnr_db - pair[0].local.sqnr_db) >= SAME_DB]
    for before, now in changed[:_TOLD]:
        yield f"from {_db(before)} to {_with_unit(now)} at {layer_named(before.name)}"


def _db(record: OpRecord) -> str:
    return number(record.local.sqnr_db)


def _with_unit(record: OpRecord) -> str:
    return decibel_words(record.local.sqnr_db)
