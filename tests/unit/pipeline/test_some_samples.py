"""A part of the samples of other batches, and the rest."""

import pytest
import torch

from qdiag.batches import Batches
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.training.some_samples import EveryNth


def values(batches: Batches) -> list[int]:
    found = []
    for batch in batches:
        assert torch.equal(batch.args[0].flatten().long(), batch.labels)
        found += batch.labels.tolist()
    return found


@pytest.mark.parametrize("count", [1, 9, 10, 47, 100])
@pytest.mark.parametrize("step", [2, 10])
def test_every_sample_is_in_one_of_the_two(count: int, step: int) -> None:
    data = batches_from((torch.arange(float(count)).view(-1, 1), torch.arange(count)))
    chosen, rest = EveryNth(data, step), EveryNth(data, step, is_rest=True)
    assert values(chosen) == list(range(step - 1, count, step))
    assert sorted([*values(chosen), *values(rest)]) == list(range(count))
    assert (chosen.sample_count, rest.sample_count) == (len(values(chosen)), len(values(rest)))
    assert chosen.digest() != rest.digest() != data.digest()
    for part in (chosen, rest):
        assert [part.name(i) for i in range(part.sample_count)] == [data.name(i) for i in values(part)]


def test_batches_are_filled_up() -> None:
    data = batches_from((torch.arange(100.0).view(-1, 1), torch.arange(100)))
    sizes = [batch.sample_count for batch in EveryNth(data, 10, is_rest=True)]
    assert sum(sizes) == 90 and all(size >= data.batch_size for size in sizes[:-1])
