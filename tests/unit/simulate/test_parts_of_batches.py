"""Some batches of a data set are those that come at their places, and others are not read for them."""

from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from qdiag.batches import Batches, Datasets, batches_between
from qdiag.distributed.processes import Processes
from qdiag.loaders.data.arguments import with_arguments
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.preparation.fixed_batches import FixedBatches
from qdiag.simulate.passes.spread import SpreadBatches


class Samples(Dataset[Any]):
    """Numbers 0 to 22, and which of them were read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return 23

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.read.append(index)
        return torch.full((2,), float(index)), index % 3


def kinds(samples: Samples) -> dict[str, Batches]:
    stored = batches_from(samples, 4)
    named = with_arguments(Datasets(stored, stored, ""), ["level=0.5"]).evaluation
    stream = batches_from([torch.full((n, 2), float(n)) for n in (2, 5, 2, 1, 1)])
    fixed = {f"fixed {size}": FixedBatches(named, size) for size in (1, 3, 4, 9)}
    return {"stored": stored, "named": named, "stream": stream, "spread": SpreadBatches(named, 12), **fixed}


def values(batches: Any) -> list[list[float]]:
    return [batch.args[0][:, 0].tolist() for batch in batches]


@pytest.mark.parametrize("name", kinds(Samples()))
@pytest.mark.parametrize(("start", "stop"), [(0, 2), (1, 3), (2, None), (1, 1), (7, None), (40, None)])
def test_some_batches_are_those_at_their_places(name: str, start: int, stop: int | None) -> None:
    batches = kinds(Samples())[name]
    assert values(batches_between(batches, start, stop)) == values(islice(iter(batches), start, stop))


@pytest.mark.parametrize("name", ["stored", "named", "fixed 3", "fixed 9"])
def test_other_samples_are_not_read(name: str) -> None:
    samples = Samples()
    batches = kinds(samples)[name]
    samples.read.clear()
    found = [value for part in values(batches_between(batches, 1, 2)) for value in part]
    assert found and set(samples.read) >= set(found) and len(set(samples.read)) <= 12


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("total", [0, 1, 5, 7, 64])
def test_every_batch_has_one_process_and_all_have_as_many(total: int, count: int) -> None:
    shares = [Processes(rank, count).share(total) for rank in range(count)]
    assert [number for share in shares for number in share] == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
