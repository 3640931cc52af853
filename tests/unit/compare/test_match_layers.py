"""Layers of two networks: the same name, renamed, missing, new."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdiag.compare.layers import LayerMatching, match_layers
from qdiag.core.measures.records import OpRecord
from tests.measurements import layer, many_records, small_records

Pairs = list[tuple[str, str, str]]


def pairs(matching: LayerMatching) -> Pairs:
    return [(match.before.name, match.after.name, match.certainty) for match in matching.matches]


def row(*shapes: tuple[str, int]) -> tuple[OpRecord, ...]:
    """Convolutions of these names and widths."""
    return tuple(
        layer(i, name, ("conv2d",), (), local_db=30.0, propagated_db=30.0, weight_shape=(width, 8, 3, 3))
        for i, (name, width) in enumerate(shapes)
    )


def test_equal_networks_match_by_name() -> None:
    records = small_records()
    matching = match_layers(records, records)
    assert pairs(matching) == [(record.name, record.name, "certain") for record in records]
    assert matching.missing == matching.new == ()


def test_a_renamed_layer_is_told_from_a_missing_and_a_new_one() -> None:
    before = row(("a", 8), ("b", 16), ("old", 32), ("gone", 64), ("c", 8))
    after = row(("a", 8), ("b", 16), ("new_name", 32), ("c", 8), ("added", 128))
    matching = match_layers(before, after)
    assert pairs(matching)[2] == ("old", "new_name", "likely")
    assert [record.name for record in matching.missing] == ["gone"]
    assert [record.name for record in matching.new] == ["added"]
    assert matching.names["old"] == "new_name"


def test_place_decides_between_layers_that_are_alike() -> None:
    before = row(("a", 8), ("x", 16), ("b", 8), ("y", 16))
    after = row(("a", 8), ("p", 16), ("b", 8), ("q", 16))
    assert pairs(match_layers(before, after)) == [
        *(("a", "a", "certain"), ("x", "p", "likely"), ("b", "b", "certain"), ("y", "q", "likely")),
    ]


def test_an_alike_layer_too_many_makes_the_match_a_guess() -> None:
    matching = match_layers(row(("x", 16), ("y", 16)), row(("p", 16), ("q", 16), ("r", 16)))
    assert [certainty for _, _, certainty in pairs(matching)] == ["guess", "guess"]
    assert len(matching.new) == 1


@pytest.mark.parametrize("change", [{"kind": "linear"}, {"weight": None}])
def test_another_kind_or_no_weight_is_another_layer(change: dict[str, object]) -> None:
    before = row(("x", 16))
    after = tuple(replace(record, name="p", **change) for record in before)  # type: ignore[arg-type]
    matching = match_layers(before, after)
    assert not matching.matches
    assert len(matching.missing) == len(matching.new) == 1


def test_every_layer_renamed_at_once_is_found() -> None:
    before = many_records(60)
    after = tuple(replace(record, name=f"module.{record.name}") for record in before)
    assert pairs(match_layers(before, after)) == [(r.name, f"module.{r.name}", "likely") for r in before]


def test_a_moved_layer_keeps_its_name_and_leaves_the_places_of_others() -> None:
    before = row(("a", 8), ("b", 16), ("x", 32), ("c", 8))
    after = row(("c", 8), ("a", 8), ("b", 16), ("p", 32))
    found = {first: second for first, second, _ in pairs(match_layers(before, after))}
    assert found == {"a": "a", "b": "b", "c": "c", "x": "p"}


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.lists(st.sampled_from("abcdefgh"), unique=True), st.data())
def test_every_layer_is_matched_once_missing_or_new(first: list[str], second: list[str], data: st.DataObject) -> None:
    widths = st.sampled_from((8, 16))
    before = row(*((name, data.draw(widths)) for name in first))
    after = row(*((name, data.draw(widths)) for name in second))
    matching = match_layers(before, after)
    assert sorted([m.before.name for m in matching.matches] + [r.name for r in matching.missing]) == sorted(first)
    assert sorted([m.after.name for m in matching.matches] + [r.name for r in matching.new]) == sorted(second)
    shared = set(first) & set(second)
    assert {m.after.name for m in matching.matches if m.matched_by == "name"} == shared
    assert all(m.before.name == m.after.name for m in matching.matches if m.after.name in shared)
