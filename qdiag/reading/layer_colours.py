"""What colours the layers of a network, on the page and in files for other viewers: one figure and one shade each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.records import OpRecord
from qdiag.errors import ConfigError
from qdiag.reading.colours import Shade, decibel_shade, verdict_shade
from qdiag.reading.layers.repaired import with_repairs

Shown = Literal["local", "propagated", "sensitivity", "cause", "repaired"]
SHOWN: tuple[Shown, ...] = get_args(Shown)
OF_QUANTIZED: tuple[Shown, ...] = ("local", "propagated", "sensitivity", "cause")
"""What there is to show of the quantized network as it is."""

_RANKS = {"cause": 2.0, "": 1.0}


@dataclass(frozen=True, slots=True)
class LayerColour:
    """One layer.

    Attributes:
        value: SQNR in dB; of `cause` 2 at a layer that is at fault, 1 where something was found, 0 elsewhere.
        codes: of the findings there.
    """

    layer: str
    value: float
    shade: Shade
    codes: tuple[str, ...]


def layer_colours(diagnosis: Diagnosis, shown: Shown) -> tuple[LayerColour, ...]:
    """Of every layer for which the figure is known, in graph order.

    Raises:
        ConfigError: the diagnosis has no sensitivities, or no repaired network.
    """
    if shown == "repaired":
        after = with_repairs(diagnosis)
        if after is None:
            raise ConfigError(
                "this diagnosis has no repaired network", at="`shown`", hint="choose what is shown of the quantized one"
            )
        return layer_colours(after, "local")
    alone = _sensitivities(diagnosis)
    if shown == "sensitivity" and not alone:
        raise ConfigError(
            "this diagnosis has no sensitivities", at="`shown`", hint="diagnose again without `no_sensitivity`"
        )
    verdicts = _verdicts(diagnosis)
    found = []
    for record in diagnosis.measurement.records:
        codes = tuple(verdicts.get(record.name, {}))
        if shown == "cause":
            words = tuple(verdicts.get(record.name, {}).values())
            value = max((_RANKS.get(word, 1.0) for word in words), default=0.0)
            found.append(LayerColour(record.name, value, verdict_shade(words), codes))
            continue
        decibels = alone.get(record.name, math.nan) if shown == "sensitivity" else _decibels(record, shown)
        if not math.isnan(decibels):
            found.append(LayerColour(record.name, decibels, decibel_shade(decibels), codes))
    return tuple(found)


def _decibels(record: OpRecord, shown: Shown) -> float:
    if not record.is_quantized:
        return math.nan
    return record.local.sqnr_db if shown == "local" else record.propagated.sqnr_db


def _sensitivities(diagnosis: Diagnosis) -> Mapping[str, float]:
    rows = diagnosis.sensitivity.rows if diagnosis.sensitivity else ()
    return {row.layer: row.alone.output_sqnr_db for row in rows if row.alone is not None}


def _verdicts(diagnosis: Diagnosis) -> Mapping[str, dict[str, str]]:
    """By layer and code, the verdict on the suspect of the finding; empty text for a finding that no repair tests."""
    found: dict[str, dict[str, str]] = {}
    for finding in diagnosis.ranking.findings:
        for layer in finding.layers:
            found.setdefault(layer, {}).setdefault(finding.code, "")
    for cause in reversed(diagnosis.ranking.causes):
        for finding in cause.findings:
            for layer in finding.layers:
                found.setdefault(layer, {})[finding.code] = cause.verdict
    return found
