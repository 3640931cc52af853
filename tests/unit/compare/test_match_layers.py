"""Layers of two networks: the same name, renamed, missing, new."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdiag.compare.layers import LayerMatching
from qdiag.compare.layers import match_layers as match_sides
from qdiag.compare.sides import Side
from qdiag.core.measures.branches import BlockLayers
from qdiag.core.measures.records import OpRecord
from tests.measurements import layer, many_records, small_records, sums

Pairs = list[tuple[str, str, str]]


def pairs(matching: LayerMatching) -> Pairs:
    return [(match.before.name, match.after.name, match.certainty) for match in matching.matches]


def match_layers(before: tuple[OpRecord, ...], after: tuple[OpRecord, ...]) -> LayerMatching:
    """Of networks without parallel branches, which need not compute the same."""
    return match_sides(Side(before), Side(after))


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


def loud(record: OpRecord, power: float) -> OpRecord:
    """With another power of the float signal."""
    return replace(record, local=sums(30.0, power))


BLOCKS = tuple(
    BlockLayers(f"b{i}", f"b{i}.add", (f"b{i}.dense", f"b{i}.point"), f"b{i}.fused", (8, 8, 3, 3)) for i in (0, 1)
)
POWERS = (2.0, 3.0)


def trained(end: str = "add") -> tuple[OpRecord, ...]:
    """Two blocks of a 3x3 and a 1x1 convolution and their sum, with the float power of the sum, then a linear layer."""
    found = []
    for i, power in enumerate(POWERS):
        found += [*row((f"b{i}.dense", 8), (f"b{i}.point", 8))]
        found.append(loud(replace(row((f"b{i}.{end}", 8))[0], kind="add", weight=None), power))
    return (*found, replace(row(("head", 4))[0], kind="linear"))


def deployed(name: str = "fused") -> tuple[OpRecord, ...]:
    return (*(loud(row((f"b{i}.{name}", 8))[0], p) for i, p in enumerate(POWERS)), trained()[-1])


@pytest.mark.parametrize("name", ["fused", "conv", "dense"])
@pytest.mark.parametrize("has_same_signals", [True, False])
def test_a_block_is_the_convolution_in_its_place_whatever_that_is_called(name: str, has_same_signals: bool) -> None:
    """`dense`: code that fuses may leave the convolution the name of a branch."""
    certainty = "certain" if name == "fused" else "likely"
    expected = [(f"b{i}.add", f"b{i}.{name}", certainty) for i in (0, 1)] + [("head", "head", "certain")]
    for way in (1, -1):
        sides = (Side(trained(), BLOCKS), Side(deployed(name)))[::way]
        matching = match_sides(*sides, has_same_signals=has_same_signals)
        assert pairs(matching) == [(*pair[:2][::way], pair[2]) for pair in expected]
        assert [match.matched_by for match in matching.matches] == ["fused block", "fused block", "name"]
        assert all(m.before.local.signal_power == m.after.local.signal_power for m in matching.matches)
        assert len(matching.missing) + len(matching.new) == 4


def test_branches_are_not_the_fused_convolution_where_the_signal_tells() -> None:
    """Results stored before blocks were kept: a branch is like the fused convolution, in shape and place alone."""
    wrong = match_sides(Side(trained()), Side(deployed("conv")))
    assert ("b0.dense", "b0.conv", "guess") in pairs(wrong)
    assert pairs(match_sides(Side(trained()), Side(deployed("conv")), has_same_signals=True)) == [
        ("head", "head", "certain")
    ]


def test_a_layer_with_another_signal_does_not_hide_the_one_that_is_the_same() -> None:
    before, after = row(("x", 16), ("y", 16)), row(("p", 16))
    before = (loud(before[0], 5.0), before[1])
    assert pairs(match_sides(Side(before), Side(after), has_same_signals=True)) == [("y", "p", "likely")]
    assert pairs(match_sides(Side(before), Side(after))) == [("x", "p", "guess")]


def test_two_networks_with_the_same_blocks_match_layer_by_layer() -> None:
    names = {record.name: record.name.replace("b", "stage") for record in trained()}
    renamed = tuple(replace(record, name=names[record.name]) for record in trained())
    blocks = tuple(
        BlockLayers(
            f"stage{i}", f"stage{i}.add", (f"stage{i}.dense", f"stage{i}.point"), f"stage{i}.fused", (8, 8, 3, 3)
        )
        for i in (0, 1)
    )
    for after, found in ((trained(), BLOCKS), (renamed, blocks)):
        matching = match_sides(Side(trained(), BLOCKS), Side(after, found), has_same_signals=True)
        assert matching.missing == matching.new == ()
        assert [(m.before.name, m.after.name) for m in matching.matches] == [
            (one.name, other.name) for one, other in zip(trained(), after, strict=True)
        ]
        assert all(match.matched_by != "fused block" for match in matching.matches)
