"""The graph of the page: boxes, lines and colours of the layers, and what they weigh."""

import json
import math
from dataclasses import replace

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
from qdiag.writers.html.graph_view import graph_payload, shortened
from qdiag.writers.html.layer_view import layer_views
from qdiag.writers.html.report import html_report
from tests.diagnoses import diagnosis, healthy_diagnosis

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
    modes = {mode["key"]: mode for mode in graph["modes"]}
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
    assert "sensitivity" not in [mode["key"] for mode in graph["modes"]]


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
