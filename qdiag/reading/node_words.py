"""What is said of a layer at its node in a viewer, label and text."""

from collections.abc import Mapping

from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.layer_colours import SHOWN, layer_colours
from qdiag.reading.words.causes import VERDICT_WORDS, cause_title
from qdiag.reading.words.numbers import with_unit

_LABELS = {"local": "local", "propagated": "propagated", "repaired": "repaired", "sensitivity": "alone"}
"""Short: Netron shows the first sixteen characters of a name, `qdiag ` among them, and the whole text beside it."""
_MEANINGS = {
    "local": "local SQNR",
    "propagated": "propagated SQNR",
    "repaired": "local SQNR after the repairs",
    "sensitivity": "output SQNR, this layer alone quantized",
}


def node_words(diagnosis: Diagnosis) -> Mapping[str, Mapping[str, str]]:
    """By layer: SQNR in dB, findings with their verdicts, colours, and the line of code; inputs are left out."""
    names = [record.name for record in diagnosis.measurement.records if record.ops]
    words: dict[str, dict[str, str]] = {name: {} for name in names}
    for shown in SHOWN:
        if shown not in _LABELS or (shown == "sensitivity" and diagnosis.sensitivity is None):
            continue
        if shown == "repaired" and diagnosis.repaired_network is None:
            continue
        for colour in layer_colours(diagnosis, shown):
            if colour.layer in words:
                text = f"{with_unit(colour.value, 'dB')} {_MEANINGS[shown]}, colour {colour.shade.fill}"
                words[colour.layer][_LABELS[shown]] = text
    for record in diagnosis.measurement.records:
        if record.source and record.name in words:
            words[record.name]["source"] = record.source
    for cause in diagnosis.ranking.causes:
        for finding in cause.findings:
            for layer in finding.layers:
                if layer in words:
                    text = f"{cause_title(finding.code)}: {VERDICT_WORDS[cause.verdict]}"
                    words[layer].setdefault(finding.code, text)
    return words
