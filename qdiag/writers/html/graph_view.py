"""The network as a graph for the page: where the boxes stand, and what colours them, as JSON that stays small."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.colours import (
    CAUSE_SHADE,
    DECIBEL_SHADES,
    EXACT_SHADE,
    QUIET_SHADE,
    SUSPECT_SHADE,
    UNKNOWN_SHADE,
    UNTRIED_SHADE,
)
from qdiag.reading.layer_colours import SHOWN, LayerColour, Shown, layer_colours
from qdiag.writers.html.layer_view import LayerView
from qdiag.writers.layout.layout import BOX_HEIGHT, Point, lay_out

_CHARACTER_PX = 6.7
_PADDING_PX = 22.0
_LABEL_CHARACTERS = 30
_DECIBEL_LEGEND = (*DECIBEL_SHADES, EXACT_SHADE, UNKNOWN_SHADE)
_VERDICT_LEGEND = (CAUSE_SHADE, SUSPECT_SHADE, UNTRIED_SHADE, QUIET_SHADE)

_TITLES: Mapping[Shown, str] = {
    "local": "local SQNR",
    "propagated": "propagated SQNR",
    "sensitivity": "sensitivity: SQNR of the output with this layer alone quantized",
    "cause": "causes and findings",
}

Json = dict[str, Any]


def graph_payload(layers: Sequence[LayerView], diagnosis: Diagnosis) -> Json:
    """Boxes in the order of the layers, lines, and one list of colours and words for each thing that may be shown."""
    index = {layer.record.name: i for i, layer in enumerate(layers)}
    edges = [
        (index[name], i)
        for i, layer in enumerate(layers)
        for name in dict.fromkeys(layer.record.inputs)
        if name in index and index[name] < i
    ]
    labels = [shortened(layer.entry.short) for layer in layers]
    widths = [max(_PADDING_PX + _CHARACTER_PX * len(label), 110.0) for label in labels]
    drawn = lay_out(widths, edges)
    return {
        "width": round(drawn.width),
        "height": round(drawn.height),
        "boxHeight": BOX_HEIGHT,
        "boxes": [
            [round(x), round(y), round(width), label]
            for (x, y), width, label in zip(drawn.centres, widths, labels, strict=True)
        ],
        "edges": [list(edge) for edge in edges],
        "lines": [_path(route) for route in drawn.routes],
        "modes": [
            _mode(shown, layers, diagnosis) for shown in SHOWN if shown != "sensitivity" or diagnosis.sensitivity
        ],
    }


def shortened(label: str) -> str:
    """The end of a long path, which tells neighbours apart."""
    return label if len(label) <= _LABEL_CHARACTERS else "\N{HORIZONTAL ELLIPSIS}" + label[1 - _LABEL_CHARACTERS :]


def _path(route: Sequence[Point]) -> str:
    """A line of SVG that leaves and enters boxes downwards."""
    (x, y), *others = route
    parts = [f"M{x:.0f} {y:.0f}"]
    for to_x, to_y in others:
        if round(to_x) == round(x):
            parts.append(f"V{to_y:.0f}")
        else:
            middle = (y + to_y) / 2.0
            parts.append(f"C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {to_y:.0f}")
        x, y = to_x, to_y
    return "".join(parts)


def _mode(shown: Shown, layers: Sequence[LayerView], diagnosis: Diagnosis) -> Json:
    """Colours and figures of all layers, and what the colours stand for."""
    known = {colour.layer: colour for colour in layer_colours(diagnosis, shown)}
    found = [known.get(layer.record.name) for layer in layers]
    shades = [colour.shade if colour is not None else UNKNOWN_SHADE for colour in found]
    scale = _VERDICT_LEGEND if shown == "cause" else _DECIBEL_LEGEND
    used = [shade for shade in scale if shade in shades or shade in DECIBEL_SHADES]
    return {
        "key": shown,
        "title": _TITLES[shown],
        "legend": [[shade.fill, shade.label] for shade in used],
        "shades": [used.index(shade) for shade in shades],
        "words": [_words(shown, layer, colour) for layer, colour in zip(layers, found, strict=True)],
    }


def _words(shown: Shown, layer: LayerView, colour: LayerColour | None) -> str:
    """What stands in the box."""
    if colour is None:
        return "in float" if layer.row.is_float else "\N{EN DASH}"
    if shown == "cause":
        return " ".join(colour.codes)
    return f"{colour.value:.1f} dB".replace("-", "\N{MINUS SIGN}") if math.isfinite(colour.value) else "exact"
