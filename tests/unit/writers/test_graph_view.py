"""The graph of the page: boxes, lines and colours of the layers, and what they weigh."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from qdiag.reading.colours import (
    CAUSE_SHADE,
    DECIBEL_SHADES,
    EXACT_SHADE,
    QUIET_SHADE,
    SUSPECT_SHADE,
    UNKNOWN_SHADE,
    UNTRIED_SHADE,
    decibel_shade,
    verdict_shade,
)
from qdiag.writers.html.graph_view import codes_words, graph_payload, shortened
from qdiag.writers.html.layer_view import layer_views
from qdiag.writers.html.report import html_report
from tests.diagnoses import diagnosis, healthy_diagnosis


def modes_of(graph: dict[str, Any], state: str) -> dict[str, Any]:
    """What may colour the layers of one of the networks."""
    [found] = [one for one in graph["states"] if one["key"] == state]
    return {mode["key"]: mode for mode in found["modes"]}


DASH = "\N{EN DASH}"
SHADES = {*DECIBEL_SHADES, CAUSE_SHADE, SUSPECT_SHADE, UNTRIED_SHADE, QUIET_SHADE, EXACT_SHADE, UNKNOWN_SHADE}


@pytest.mark.parametrize(
    ("decibels", "shade"),
    [
        (-3.0, DECIBEL_SHADES[0]),
        (9.99, DECIBEL_SHADES[0]),
        (10.0, DECIBEL_SHADES[1]),
        (39.9, DECIBEL_SHADES[3]),
        (40.0, DECIBEL_SHADES[4]),
        (-math.inf, DECIBEL_SHADES[0]),
        (math.inf, EXACT_SHADE),
        (math.nan, UNKNOWN_SHADE),
    ],
)
def test_decibels_have_a_colour(decibels: float, shade: object) -> None:
    assert decibel_shade(decibels) == shade


def test_verdicts_have_a_colour() -> None:
    assert verdict_shade(("harmless", "cause")) == CAUSE_SHADE
    assert verdict_shade(("harmless", "")) == SUSPECT_SHADE
    assert verdict_shade(("",)) == UNTRIED_SHADE
    assert verdict_shade(()) == QUIET_SHADE


@pytest.mark.parametrize("shade", sorted(SHADES, key=lambda shade: shade.label), ids=lambda shade: shade.label)
def test_dark_text_can_be_read_on_every_colour(shade: object) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert (luminance(shade.fill) + 0.05) / (luminance("#1d1f24") + 0.05) > 4.5  # type: ignore[attr-defined]


def test_every_layer_is_a_box_with_its_own_colour_and_figure() -> None:
    layers = layer_views(diagnosis())
    graph = graph_payload(layers, diagnosis())
    assert len(graph["boxes"]) == len(layers)
    modes = modes_of(graph, "quantized")
    assert list(modes) == ["local", "propagated", "sensitivity", "cause"]
    for i, layer in enumerate(layers):
        fill, label = modes["local"]["legend"][modes["local"]["shades"][i]]
        shade = decibel_shade(math.nan if layer.row.is_float else layer.row.local_db)
        assert (fill, label) == (shade.fill, shade.label)
        assert modes["cause"]["words"][i] == " ".join(layer.entry.codes)
        assert (modes["cause"]["legend"][modes["cause"]["shades"][i]][1] == "cause") == layer.entry.is_at_fault
    index = {layer.record.name: i for i, layer in enumerate(layers)}
    expected = [[index[name], i] for i, layer in enumerate(layers) for name in layer.record.inputs if name in index]
    assert graph["edges"] == expected and len(graph["lines"]) == len(expected)


def test_sensitivity_is_offered_where_it_was_measured() -> None:
    found = replace(healthy_diagnosis(), sensitivity=None)
    graph = graph_payload(layer_views(found), found)
    assert "sensitivity" not in modes_of(graph, "quantized")


def test_the_repaired_network_is_shown_in_step_where_there_is_one() -> None:
    found = diagnosis()
    assert found.repaired_network is not None
    layers = layer_views(found)
    graph = graph_payload(layers, found)
    assert [state["key"] for state in graph["states"]] == ["float", "quantized", "repaired"]
    before, modes = modes_of(graph, "quantized"), modes_of(graph, "repaired")
    after = {record.name: record for record in found.repaired_network.records}
    changed = 0
    for i, layer in enumerate(layers):
        decibels = after[layer.record.name].local.sqnr_db
        shade = decibel_shade(math.nan if layer.row.is_float else decibels)
        assert modes["local"]["legend"][modes["local"]["shades"][i]] == [shade.fill, shade.label]
        old, new = before["local"]["words"][i], modes["local"]["words"][i]
        if layer.row.is_float or abs(decibels - layer.row.local_db) < 0.5:
            assert "→" not in new
        else:
            changed += 1
            assert new == f"{old.removesuffix(' dB')} → {decibels:.1f} dB"
    assert changed
    assert "on 32 of 500 samples" in graph["states"][2]["note"]
    healthy = graph_payload(layer_views(healthy_diagnosis()), healthy_diagnosis())
    assert [state["key"] for state in healthy["states"]] == ["float", "quantized"]


def test_a_layer_that_the_repaired_network_keeps_in_float_or_has_not_is_said_to_be_so() -> None:
    found = diagnosis()
    assert found.repaired_network is not None
    first, second, *others = found.repaired_network.records
    kept = replace(first, quantizer=None, weight=None, operands=())
    network = replace(found.repaired_network, records=(kept, *others), settings=("layers.x.weights.bits=32",))
    found = replace(found, repaired_network=network)
    words = modes_of(graph_payload(layer_views(found), found), "repaired")["local"]["words"]
    assert words[0].endswith("→ in float") and words[1].endswith(f"→ {DASH}")
    assert second.name not in [record.name for record in network.records]


def test_the_float_network_is_shown_by_its_ranges() -> None:
    found = diagnosis()
    words = modes_of(graph_payload(layer_views(found), found), "float")["range"]["words"]
    for record, told in zip(found.measurement.records, words, strict=True):
        expected = f"{record.range.min:.3g} to {record.range.max:.3g}" if record.range else DASH
        assert told == expected.replace("-", "\N{MINUS SIGN}")


def test_a_long_name_keeps_its_end() -> None:
    assert shortened("a" * 40 + ".conv") == "…" + "a" * 24 + ".conv"
    assert shortened("conv") == "conv"


def test_the_line_of_code_is_in_the_page() -> None:
    found = diagnosis()
    records = tuple(
        replace(record, source=f"net.py:{record.index}: x = self.conv(x)") for record in found.measurement.records
    )
    page = html_report(replace(found, measurement=replace(found.measurement, records=records)))
    data = json.loads(page.split('id="qdiag-data">')[1].split("</script>")[0])
    assert data["runs"][0]["layers"][3]["source"] == "net.py:3: x = self.conv(x)"


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ((), ""),
        (("QD301",), "QD301"),
        (("QD301", "QD103"), "QD301 QD103"),
        (("QD301", "QD103", "QD106"), "QD301 and 2 more"),
    ],
)
def test_a_box_has_room_for_two_codes(codes: tuple[str, ...], words: str) -> None:
    assert codes_words(codes) == words
