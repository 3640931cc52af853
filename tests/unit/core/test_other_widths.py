"""Schemes at other widths: integers at all of them, floats at those that exist."""

from dataclasses import replace

import pytest

from qdiag.config import load_preset, load_scheme
from qdiag.core.formats.other_widths import BITS, left_out_widths, schemes_at


def test_integers_have_every_width() -> None:
    scheme = load_preset("int8")
    found = schemes_at(scheme)
    assert list(found) == list(BITS)
    assert found[4] == replace(
        scheme, weights=replace(scheme.weights, bits=4), activations=replace(scheme.activations, bits=4)
    )
    assert found[16].bias == "int64"
    assert left_out_widths(scheme) == ()


@pytest.mark.parametrize(
    ("preset", "elements"),
    [
        ("fp8-e4m3", {4: "e2m1", 6: "e2m3", 8: "e4m3", 16: "float16"}),
        ("mxfp4", {4: "e2m1", 6: "e2m3", 8: "e4m3"}),
        ("nvfp4", {4: "e2m1", 6: "e2m3", 8: "e4m3"}),
    ],
)
def test_floats_have_those_that_exist(preset: str, elements: dict[int, str]) -> None:
    found = schemes_at(load_preset(preset))
    assert {bits: scheme.weights.float_format.name for bits, scheme in found.items()} == elements
    assert all(scheme.weights.scale == load_preset(preset).weights.scale for scheme in found.values())
    (note,) = left_out_widths(load_preset(preset))
    assert note.startswith("5, 7, 10, 12")
    assert "4 bits are e2m1" in note


def test_the_element_that_was_asked_for_stays_at_its_own_width() -> None:
    scheme = load_scheme("fp8-e4m3", ["weights.element=e5m2"])
    assert schemes_at(scheme)[8] == scheme


def test_what_is_only_cast_stays() -> None:
    scheme = load_preset("w4a16-g128")
    found = schemes_at(scheme)
    assert list(found) == list(BITS)
    assert {one.activations for one in found.values()} == {scheme.activations}
    assert [one.weights.bits for one in found.values()] == list(BITS)
    assert left_out_widths(scheme) == ()
