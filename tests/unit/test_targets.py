"""Kinds of targets, and targets that cannot be joined."""

from typing import Any

import pytest
import torch

from qdiag.errors import DataError
from qdiag.targets import (
    copied_targets,
    joined_targets,
    kind_of_targets,
    shape_of_targets,
    structure_of_targets,
    target_bytes,
    target_counts,
    target_rows,
)


def boxes(count: int, width: int = 4, label_count: int | None = None) -> dict[str, torch.Tensor]:
    labels = torch.arange(count if label_count is None else label_count)
    return {"boxes": torch.arange(count * width, dtype=torch.float32).reshape(count, width), "labels": labels}


KINDS: list[tuple[Any, str, str]] = [
    (None, "none", "none"),
    (torch.arange(3), "classes", "classes (3,)"),
    (torch.arange(3, dtype=torch.uint8)[:, None], "classes", "classes (3, 1)"),
    (torch.tensor([True, False]), "classes", "classes (2,)"),
    (torch.zeros(3, 8, 9, dtype=torch.int64), "mask", "mask (3, 8, 9)"),
    (torch.zeros(3, 1, 8, 9, dtype=torch.bool), "mask", "mask (3, 1, 8, 9)"),
    (torch.zeros(3, 51, dtype=torch.int32), "mask", "mask (3, 51)"),
    (torch.zeros(3), "floats", "floats (3,)"),
    (torch.zeros(3, 3, dtype=torch.float16), "floats", "floats (3, 3)"),
    (torch.zeros(3, 1, 8, 9), "floats", "floats (3, 1, 8, 9)"),
    (torch.zeros(3, dtype=torch.complex64), "other", "other (3,)"),
    (torch.tensor(3), "other", "other ()"),
    ([boxes(2), boxes(0)], "boxes", "boxes of 2 samples"),
    ([boxes(2) | {"image_id": 7}], "boxes", "boxes of 1 sample"),
    ([boxes(2, width=5)], "other", "entries of 1 sample"),
    ([boxes(2, label_count=3)], "other", "entries of 1 sample"),
    ([boxes(2), {"boxes": torch.zeros(1, 4)}], "other", "entries of 2 samples"),
    ([{"boxes": [[0, 0, 1, 1]], "labels": [1]}], "other", "entries of 1 sample"),
    (["cat", ""], "texts", "texts of 2 samples"),
    (["cat", 3], "other", "entries of 2 samples"),
    ([torch.zeros(2), torch.zeros(3)], "other", "entries of 2 samples"),
    ([], "other", "entries of 0 samples"),
    ((torch.arange(3), ["a", "b", "c"]), "other", "(classes (3,), texts of 3 samples)"),
    ({"mask": torch.zeros(3, 4, 4, dtype=torch.int64)}, "other", "{mask: mask (3, 4, 4)}"),
    ("cat", "other", "a str"),
]


@pytest.mark.parametrize(("targets", "kind", "words"), KINDS)
def test_kinds_are_told_by_types_and_shapes(targets: Any, kind: str, words: str) -> None:
    assert kind_of_targets(targets) == kind
    assert shape_of_targets(targets) == words


@pytest.mark.parametrize("targets", [targets for targets, *_ in KINDS])
def test_copies_have_the_same_values_in_tensors_and_lists_of_their_own(targets: Any) -> None:
    before = list(target_bytes(targets))
    copied = copied_targets(targets)
    assert type(copied) is type(targets) and list(target_bytes(copied)) == before
    if isinstance(copied, list):
        copied.append(None)
    for leaf in torch.utils._pytree.tree_leaves(copied):
        if isinstance(leaf, torch.Tensor):
            leaf.fill_(1)
    assert list(target_bytes(targets)) == before


def test_samples_are_counted_at_every_place() -> None:
    tree = {"mask": torch.zeros(3, 4, 4), "more": (["a", "b"], torch.tensor(1.0))}
    assert list(target_counts(tree)) == [("mask", 3), ("more.0", 2), ("more.1", 1)]
    assert list(target_counts(["a", "b"])) == [("", 2)]
    assert list(target_counts(None)) == []


def test_rows_come_in_the_order_of_the_indices() -> None:
    tree = (torch.tensor([10, 11, 12]), ["a", "b", "c"], {"x": torch.arange(6.0).reshape(3, 2)})
    numbers, texts, inner = target_rows(tree, [2, 0, 2])
    assert numbers.tolist() == [12, 10, 12]
    assert texts == ["c", "a", "c"]
    assert inner["x"].tolist() == [[4.0, 5.0], [0.0, 1.0], [4.0, 5.0]]
    assert target_rows(tree, [])[1] == [] and target_rows(None, [0]) is None


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([torch.zeros(2), ["a", "b"]], "differ in structure"),
        ([{"a": torch.zeros(2)}, {"b": torch.zeros(2)}], "differ in structure"),
        ([(torch.zeros(2),), (torch.zeros(2), torch.zeros(2))], "differ in structure"),
        ([torch.zeros(2), None], "differ in structure"),
        ([torch.zeros(2, 3), torch.zeros(2, 4)], r"the shapes \(3,\) and \(4,\)"),
        ([{"a": torch.zeros(2, 3)}, {"a": torch.zeros(2, 4)}], r"the shapes \(3,\) and \(4,\)"),
    ],
)
def test_targets_of_different_structure_are_not_joined(parts: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=words) as refusal:
        joined_targets(parts)
    assert refusal.value.hint


def test_structures_are_equal_whatever_the_size_of_the_batch() -> None:
    same = [({"a": torch.zeros(n, 3), "b": [boxes(m) for m in range(n)]}, ["t"] * n) for n in (1, 4)]
    assert structure_of_targets(same[0]) == structure_of_targets(same[1])
    others = [None, torch.zeros(2), torch.zeros(2, 2), ["a"], [boxes(1)], (torch.zeros(2),), {"a": torch.zeros(2)}]
    assert len({structure_of_targets(other) for other in others}) == len(others)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.float64)),
        (["ab", "c"], ["a", "bc"]),
        (["a"], ("a",)),
        ([["a"], ["b"]], [["a", "b"], []]),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ([boxes(2), boxes(0)], [boxes(0), boxes(2)]),
        ([1], [True]),
        ([1], ["1"]),
    ],
)
def test_different_targets_have_different_bytes(one: Any, other: Any) -> None:
    assert b"".join(target_bytes(one)) != b"".join(target_bytes(other))
    assert b"".join(target_bytes(one)) == b"".join(target_bytes(one))
