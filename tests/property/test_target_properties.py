"""Targets of every kind: cut and joined they are the same, and batches of any size carry the same stream."""

import itertools
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qdiag.batches import Batch, Datasets
from qdiag.loaders.data.batch import joined, rows
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.preparation.fixed_batches import in_batches_of
from qdiag.targets import joined_targets, kind_of_targets, target_bytes, target_counts, target_rows

SHAPES = st.sampled_from([(), (3,), (1,), (4, 5), (1, 2, 3), (0,)])
DTYPES = st.sampled_from([torch.int64, torch.uint8, torch.bool, torch.float32, torch.float64])


def tensor(count: int, shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 200, (count, *shape))).to(dtype)


def boxes(count: int, seed: int) -> list[dict[str, torch.Tensor]]:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(0, 4, count).tolist()
    return [{"boxes": tensor(n, (4,), torch.float32, seed + n), "labels": torch.arange(n)} for n in sizes]


def leaves(count: int) -> st.SearchStrategy[Any]:
    seeds = st.integers(0, 99)
    texts = st.lists(st.text(max_size=4), min_size=count, max_size=count)
    ragged = st.builds(lambda seed: [tensor(n % 3, (2,), torch.float32, seed) for n in range(count)], seeds)
    return (
        st.builds(tensor, st.just(count), SHAPES, DTYPES, seeds)
        | st.builds(boxes, st.just(count), seeds)
        | texts
        | ragged
    )


def trees(count: int) -> st.SearchStrategy[Any]:
    def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        names = st.sampled_from(["a", "b", "c"])
        return st.dictionaries(names, inner, min_size=1, max_size=3) | st.lists(inner, min_size=1, max_size=3).map(
            tuple
        )

    return st.recursive(leaves(count), branches, max_leaves=4)


COUNTED = st.integers(1, 9).flatmap(lambda count: st.tuples(st.just(count), trees(count)))


def content(targets: Any) -> bytes:
    return b"".join(target_bytes(targets))


@settings(max_examples=60, deadline=None)
@given(COUNTED, st.data())
def test_cut_anywhere_and_joined_is_the_same(counted: tuple[int, Any], data: st.DataObject) -> None:
    count, targets = counted
    assert all(found == count for _, found in target_counts(targets))
    cuts = sorted(data.draw(st.sets(st.integers(1, count))) | {0, count})
    parts = [target_rows(targets, range(a, b)) for a, b in itertools.pairwise(cuts)]
    assert content(joined_targets(parts)) == content(targets)
    assert [kind_of_targets(part) for part in parts] == [kind_of_targets(targets)] * len(parts)


@settings(max_examples=40, deadline=None)
@given(COUNTED, st.data())
def test_rows_of_rows_are_rows(counted: tuple[int, Any], data: st.DataObject) -> None:
    count, targets = counted
    first = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=6))
    second = data.draw(st.lists(st.integers(0, len(first) - 1), max_size=6))
    assert content(target_rows(target_rows(targets, first), second)) == content(
        target_rows(targets, [first[index] for index in second])
    )


@settings(max_examples=60, deadline=None)
@given(COUNTED, st.integers(1, 9), st.integers(1, 9))
def test_batches_of_any_size_carry_the_same_stream(counted: tuple[int, Any], size: int, other: int) -> None:
    count, targets = counted
    inputs = torch.arange(count, dtype=torch.float32)[:, None].repeat(1, 11)
    whole = Batch((inputs,), labels=targets)
    parts = [rows(whole, range(start, min(start + size, count))) for start in range(0, count, size)]
    assert content(joined(parts).labels) == content(targets)
    data = batches_from(parts)
    regrouped = list(in_batches_of(Datasets(data, data, ""), other).evaluation) if count >= other else []
    kept = count // other * other
    assert [batch.sample_count for batch in regrouped] == [other] * (kept // other)
    if regrouped:
        assert content(joined(regrouped).labels) == content(target_rows(targets, range(kept)))
        assert torch.equal(joined(regrouped).args[0], inputs[:kept])
