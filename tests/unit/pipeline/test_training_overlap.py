"""Samples are compared by what they hold, wherever they come from."""

import torch

from qdiag.batches import Batch, Batches
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.training.overlap import shared_count

IMAGES = torch.randn(12, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_no_sample_is_shared() -> None:
    assert shared_count(batches_from(IMAGES[:8], 3), batches_from(IMAGES[8:], 3)) == 0


def test_copies_are_found_in_any_order_and_batch_size() -> None:
    measured = batches_from((IMAGES[[10, 2, 11, 5]].clone(), torch.arange(4)), 3)
    assert shared_count(batches_from((IMAGES[:8], torch.zeros(8, dtype=torch.long)), 5), measured) == 2
    assert shared_count(measured, measured) == 4


def test_the_last_bit_counts_and_so_do_all_arguments() -> None:
    other = IMAGES.clone()
    other[:, 0, 0, 0] = torch.nextafter(other[:, 0, 0, 0], torch.tensor(9.0))
    assert shared_count(batches_from(IMAGES), batches_from(other)) == 0
    first, second = torch.arange(12.0), torch.arange(12.0) + (torch.arange(12) < 3)

    def pairs(more: torch.Tensor) -> Batches:
        return batches_from([Batch((IMAGES[i : i + 4], more[i : i + 4])) for i in (0, 4, 8)])

    assert shared_count(pairs(first), pairs(second)) == 9
