"""The weakest layer, and where the propagated SQNR becomes low: two sentences below every table of layers."""

import math
from collections.abc import Sequence

from qdiag.core.measures.measurement import Measurement, lowest_sqnr_db, weakest_output
from qdiag.reading.layer_names import layer_named, layers_named
from qdiag.reading.words.layer_row import LayerRow, weakest
from qdiag.reading.words.numbers import count_noun, decibel_words, number

LOW_SQNR_DB = 20.0
"""Noise of a tenth of the signal's amplitude: named in a sentence, not a verdict."""
_EXACT_DB = 100.0
"""From here on the inputs of a layer count as exact: the difference to them would be one to rounding in float32."""


def weakest_words(rows: Sequence[LayerRow]) -> str:
    """`The lowest local SQNR is 4.1 dB, at blocks.0.dw; rounding of its output alone would give 45.0 dB.`"""
    worst = weakest(rows)
    if worst is None:
        return "No quantized layer lost anything that could be measured."
    expected = worst.record.expected_sqnr_db
    beside = f"; rounding of its output alone would give {decibel_words(expected)}" if math.isfinite(expected) else ""
    return f"The lowest local SQNR is {decibel_words(worst.local_db)}, at {layer_named(worst.record.name)}{beside}."


def propagated_words(measurement: Measurement, rows: Sequence[LayerRow]) -> str:
    """`Propagated SQNR first falls below 20 dB at blocks.1.dw: 11.3 dB, 21.4 dB below what feeds it.`"""
    known = [row for row in rows if not math.isnan(row.propagated_db)]
    low = next((row for row in known if row.propagated_db < LOW_SQNR_DB), None)
    if low is not None:
        return (
            f"Propagated SQNR first falls below {LOW_SQNR_DB:g} dB at {layer_named(low.record.name)}: "
            f"{number(low.propagated_db)} dB{_beside_inputs(low, measurement.layer_sample_count)}."
        )
    if not known:
        return "No propagated SQNR could be measured."
    lowest = min(known, key=lambda row: row.propagated_db)
    output, output_db = weakest_output(measurement.outputs), lowest_sqnr_db(measurement.outputs, measurement.task)
    if output is not None and output_db < LOW_SQNR_DB:  # a layer's figure is that of its whole tensor
        part = f"{output.weakest.name} of {output.name}" if output.weakest else output.name
        return (
            f"Over whole tensors, propagated SQNR stays at {LOW_SQNR_DB:g} dB or above, lowest at "
            f"{layer_named(lowest.record.name)} with {decibel_words(lowest.propagated_db)}; {part} has "
            f"{number(output_db)} dB."
        )
    return (
        f"Propagated SQNR stays at {LOW_SQNR_DB:g} dB or above; lowest at {layer_named(lowest.record.name)}: "
        f"{decibel_words(lowest.propagated_db)}."
    )


def drop_words(measurement: Measurement, rows: Sequence[LayerRow]) -> str:
    """`The drop at pool is that on the 64 samples on which the layers that feed it were measured.`; empty where every
    drop is that of the figures beside it.
    """
    names = [row.record.name for row in rows if row.is_drop_on_fewer and not math.isnan(row.drop_db)]
    if not names or measurement.layer_sample_count is None:
        return ""
    samples, fed = count_noun(measurement.layer_sample_count, "sample"), "it" if len(names) == 1 else "them"
    return (
        f"The drop at {layers_named(names)} is that on the {samples} on which the layers that feed {fed} were measured."
    )


def _beside_inputs(row: LayerRow, few: int | None) -> str:
    """How far it lies below the worst of the layers that feed it; nothing where it does not.

    Args:
        few: samples on which most layers were measured; None for all.
    """
    if not row.drop_db > 0.0:
        return ""
    own = row.record.compared.propagated.sqnr_db if row.is_drop_on_fewer else row.propagated_db
    if own + row.drop_db >= _EXACT_DB:
        return ", although what feeds it is exact"
    on = f" on the {few} samples on which both were measured" if row.is_drop_on_fewer and few is not None else ""
    return f", {row.drop_db:.1f} dB below what feeds it{on}"
