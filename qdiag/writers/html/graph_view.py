"""The network as a graph for the page: where the boxes stand, and what colours them, as JSON that stays small."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.colours import (
    CAUSE_SHADE,
    DECIBEL_SHADES,
    EXACT_SHADE,
    QUIET_SHADE,
    RANGE_SHADE,
    SUSPECT_SHADE,
    UNKNOWN_SHADE,
    UNTRIED_SHADE,
    Shade,
)
from qdiag.reading.labels import FLOAT, QUANTIZED, REPAIRED
from qdiag.reading.layer_colours import OF_QUANTIZED, LayerColour, Shown, layer_colours
from qdiag.reading.layers.repaired import SAME_DB, repaired_title, with_repairs
from qdiag.reading.words.numbers import decibel_words
from qdiag.writers.html.filters import capitalize_first, typeset
from qdiag.writers.html.layer_view import LayerView, range_words
from qdiag.writers.layout.layout import BOX_HEIGHT, Point, lay_out

_CHARACTER_PX = 6.7
_PADDING_PX = 22.0
_LABEL_CHARACTERS = 30
_CODES_IN_BOX = 2
_DECIBEL_LEGEND = (*DECIBEL_SHADES, EXACT_SHADE, UNKNOWN_SHADE)
_VERDICT_LEGEND = (CAUSE_SHADE, SUSPECT_SHADE, UNTRIED_SHADE, QUIET_SHADE)

_TITLES: Mapping[Shown, str] = {
    "local": "local SQNR",
    "propagated": "propagated SQNR",
    "sensitivity": "sensitivity: SQNR of the output with this layer alone quantized",
    "cause": "causes and findings",
}

_OF_REPAIRED: tuple[Shown, ...] = ("local", "propagated")
_STATE_TITLES = {"float": FLOAT, "quantized": QUANTIZED, "repaired": REPAIRED}
_FLOAT_NOTE = "The float network: each layer with the range of its output on the calibration data."
_QUANTIZED_NOTE = "The quantized network as it is."

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
        "states": list(_states(layers, diagnosis)),
    }


def _states(layers: Sequence[LayerView], diagnosis: Diagnosis) -> Iterator[Json]:
    """The float, the quantized and the repaired network, each with what may be shown of it."""
    yield _state("float", _FLOAT_NOTE, [_ranges(layers)])
    shown = [one for one in OF_QUANTIZED if one != "sensitivity" or diagnosis.sensitivity]
    yield _state("quantized", _QUANTIZED_NOTE, [_mode(one, layers, diagnosis) for one in shown])
    after = with_repairs(diagnosis)
    if after is not None:
        modes = [_mode(one, layers, after, before=diagnosis) for one in _OF_REPAIRED]
        yield _state("repaired", repaired_title(diagnosis), modes)


def _state(key: str, note: str, modes: Sequence[Json]) -> Json:
    return {"key": key, "title": capitalize_first(_STATE_TITLES[key]), "note": note, "modes": list(modes)}


def _ranges(layers: Sequence[LayerView]) -> Json:
    """Of the float outputs, on the calibration data."""
    ranges = [layer.record.range for layer in layers]
    shades = [RANGE_SHADE if own is not None else UNKNOWN_SHADE for own in ranges]
    words = [typeset(range_words(own.min, own.max)) if own is not None else "\N{EN DASH}" for own in ranges]
    return _coloured("range", "range of the output", (RANGE_SHADE, UNKNOWN_SHADE), shades, words)


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


def _mode(shown: Shown, layers: Sequence[LayerView], diagnosis: Diagnosis, before: Diagnosis | None = None) -> Json:
    """Colours and figures of all layers, and what the colours stand for.

    Args:
        before: whose figures stand before those of the diagnosis.
    """
    known = {colour.layer: colour for colour in layer_colours(diagnosis, shown)}
    earlier = {colour.layer: colour for colour in layer_colours(before, shown)} if before is not None else {}
    found = [known.get(layer.record.name) for layer in layers]
    shades = [colour.shade if colour is not None else UNKNOWN_SHADE for colour in found]
    scale = _VERDICT_LEGEND if shown == "cause" else _DECIBEL_LEGEND
    in_float = {record.name for record in diagnosis.measurement.records if not record.is_quantized}
    words = []
    for layer, colour in zip(layers, found, strict=True):
        name, is_float = layer.record.name, layer.record.name in in_float
        if before is None:
            codes = codes_words(layer.entry.codes) if shown == "cause" else None
            words.append(codes if codes is not None else _words(colour, is_float=is_float))
        else:
            words.append(_from_to(earlier.get(name), colour, is_float=(layer.row.is_float, is_float)))
    return _coloured(shown, _TITLES[shown], scale, shades, words)


def _coloured(key: str, title: str, scale: Sequence[Shade], shades: Sequence[Shade], words: Sequence[str]) -> Json:
    """The legend has what is used, and all decibels where it has any."""
    used = [shade for shade in scale if shade in shades or shade in DECIBEL_SHADES]
    return {
        "key": key,
        "title": title,
        "legend": [[shade.fill, shade.label] for shade in used],
        "shades": [used.index(shade) for shade in shades],
        "words": list(words),
    }


def _from_to(first: LayerColour | None, last: LayerColour | None, *, is_float: tuple[bool, bool]) -> str:
    """`3.8 → 42.6 dB`; once where both are about the same."""
    old, new = (_words(one, is_float=own) for one, own in zip((first, last), is_float, strict=True))
    if old == new or (first is not None and last is not None and abs(last.value - first.value) < SAME_DB):
        return new
    return f"{old.removesuffix(' dB')} \N{RIGHTWARDS ARROW} {new}"


def codes_words(codes: Sequence[str]) -> str:
    """`QD301 and 3 more`: as many codes as the narrowest box has room for, the one that says most first."""
    if len(codes) <= _CODES_IN_BOX:
        return " ".join(codes)
    return f"{codes[0]} and {len(codes) - 1} more"


def _words(colour: LayerColour | None, *, is_float: bool) -> str:
    """The figure in the box."""
    if colour is None:
        return "in float" if is_float else "\N{EN DASH}"
    return decibel_words(colour.value).replace("-", "\N{MINUS SIGN}")
