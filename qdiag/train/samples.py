"""Samples of a training, in another order in every epoch, the same for the same seed."""

from collections.abc import Iterator

import torch

from qdiag.batches import Batch, Batches
from qdiag.simulate.passes.batch_rows import batch_axes, joined_batches, rows

WINDOW_BYTES = 1 << 30
"""Of samples that are held, and drawn from, at once: data sets up to this size are shuffled as a whole."""


def step_count(samples: Batches, size: int) -> int:
    """Batches of an epoch."""
    return max(1, samples.sample_count // size)


def shuffled(samples: Batches, size: int, seed: int, *, window_bytes: int = WINDOW_BYTES) -> Iterator[Batch]:
    """Batches of `size` samples in a random order; what is left over at the end is not used.

    Data sets that are larger than `window_bytes` are shuffled window by window, in the order in which they are stored.
    Fewer samples than `size` are one batch.
    """
    generator = torch.Generator().manual_seed(seed)
    held: list[Batch] = []
    rest: list[Batch] = []
    wanted, given, held_bytes = step_count(samples, size), 0, 0
    for batch in samples:
        held.append(batch)
        held_bytes += sum(tensor.numel() * tensor.element_size() for tensor in batch.tensors)
        if held_bytes >= window_bytes:
            for made in _drawn([*rest, *held], size, generator):
                if made.sample_count < size:
                    rest = [made]
                else:
                    rest, given = [], given + 1
                    yield made
            held, held_bytes = [], 0
    for made in _drawn([*rest, *held], size, generator):
        if given < wanted and (made.sample_count == size or given == 0):
            given += 1
            yield made


def _drawn(parts: list[Batch], size: int, generator: torch.Generator) -> Iterator[Batch]:
    """All samples of the parts in a random order, in batches; the last one may have fewer."""
    if not parts:
        return
    axes = batch_axes(max(parts, key=lambda part: part.sample_count))  # of one sample, several axes have its size
    whole = joined_batches(parts, axes) if len(parts) > 1 else parts[0]
    order = torch.randperm(whole.sample_count, generator=generator).tolist()
    for start in range(0, len(order), size):
        yield rows(whole, order[start : start + size])
