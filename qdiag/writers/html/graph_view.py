"""The network as a graph for the page: where the boxes stand, and what colours them, as JSON that stays small."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from qdiag.reading.colours import (
    CAUSE_SHADE,
    DECIBEL_SHADES,
    EXACT_SHADE,
    QUIET_SHADE,
    SUSPECT_SHADE,
    UNKNOWN_SHADE,
    UNTRIED_SHADE,
    Shade,
    decibel_shade,
    verdict_shade,
)
from qdiag.writers.html.layer_view import LayerView
from qdiag.writers.layout.layout import BOX_HEIGHT, Point, lay_out

_CHARACTER_PX = 6.7
_PADDING_PX = 22.0
_LABEL_CHARACTERS = 30
_DECIBEL_LEGEND = (*DECIBEL_SHADES, EXACT_SHADE, UNKNOWN_SHADE)
_VERDICT_LEGEND = (CAUSE_SHADE, SUSPECT_SHADE, UNTRIED_SHADE, QUIET_SHADE)

Json = dict[str, Any]


def graph_payload(layers: Sequence[LayerView]) -> Json:
    """Boxes in the order of the layers, lines, and one list of colours and words for each thing that may be shown."""
    index = {layer.record.name: i for i, layer in enumerate(layers)}
    edges = [
        (index[name], i)
        for i, layer in enumerate(layers)
        for name in dict.fromkeys(layer.record.inputs)
        if name in index and index[name] < i
    ]
    labels = [shortened(layer.short) for layer in layers]
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
            _decibels("local", "local SQNR", layers, lambda layer: layer.row.local_db),
            _decibels("propagated", "propagated SQNR", layers, lambda layer: layer.row.propagated_db),
            *_alone(layers),
            _verdicts(layers),
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


def _decibels(key: str, title: str, layers: Sequence[LayerView], of: Callable[[LayerView], float]) -> Json:
    values = [math.nan if layer.row.is_float else of(layer) for layer in layers]
    shades = [decibel_shade(value) for value in values]
    words = ["in float" if layer.row.is_float else _words(value) for layer, value in zip(layers, values, strict=True)]
    return _mode(key, title, _DECIBEL_LEGEND, shades, words)


def _alone(layers: Sequence[LayerView]) -> list[Json]:
    if all(math.isnan(layer.alone_db) for layer in layers):
        return []
    shades = [decibel_shade(layer.alone_db) for layer in layers]
    words = [_words(layer.alone_db) for layer in layers]
    title = "sensitivity: SQNR of the output with this layer alone quantized"
    return [_mode("alone", title, _DECIBEL_LEGEND, shades, words)]


def _verdicts(layers: Sequence[LayerView]) -> Json:
    shades = [verdict_shade(tuple(finding.verdict for finding in layer.findings)) for layer in layers]
    words = [" ".join(layer.codes) for layer in layers]
    return _mode("cause", "causes and findings", _VERDICT_LEGEND, shades, words)


def _mode(key: str, title: str, legend: Sequence[Shade], shades: Sequence[Shade], words: Sequence[str]) -> Json:
    used = [shade for shade in legend if shade in shades]
    return {
        "key": key,
        "title": title,
        "legend": [[shade.fill, shade.label] for shade in used],
        "shades": [used.index(shade) for shade in shades],
        "words": list(words),
    }


def _words(decibels: float) -> str:
    if math.isnan(decibels):
        return "\N{EN DASH}"
    return f"{decibels:.1f} dB".replace("-", "\N{MINUS SIGN}") if math.isfinite(decibels) else "exact"
