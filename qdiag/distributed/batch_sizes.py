"""How many samples each batch has, and how many batches there are.

Batches may have `batch_sizes`: samples of each where others than the last one have fewer than `batch_size`, and None
where all are full. Without it all are.
"""

from collections.abc import Sequence
from itertools import accumulate

from qdiag.batches import Batches


def uneven_sizes(batches: Batches) -> Sequence[int] | None:
    """Samples of each batch, where others than the last one are smaller than a full one; None where all are full."""
    sizes: Sequence[int] | None = getattr(batches, "batch_sizes", None)
    return sizes


def batch_sizes(batches: Batches) -> Sequence[int]:
    """Samples of each batch, in order."""
    own = uneven_sizes(batches)
    if own is not None:
        return own
    size, count = max(batches.batch_size, 1), batches.sample_count
    return [size] * (count // size) + ([count % size] if count % size else [])


def batch_count(batches: Batches) -> int:
    """How many batches there are."""
    own = uneven_sizes(batches)
    return -(-batches.sample_count // max(batches.batch_size, 1)) if own is None else len(own)


def samples_before(batches: Batches, number: int) -> int:
    """Samples of all batches before the one of this number."""
    own = uneven_sizes(batches)
    if own is not None:
        return sum(own[:number])
    return min(number * max(batches.batch_size, 1), batches.sample_count)


def uneven(sizes: Sequence[int], full: int) -> Sequence[int] | None:
    """Themselves, where `uneven_sizes` gives them; None where it does not."""
    return sizes if any(size < full for size in sizes[:-1]) else None


def place_of(batches: Batches, numbers: Sequence[int], position: int) -> int:
    """Where a sample stands in the whole data, by its position in the batches of these numbers, ascending."""
    sizes = batch_sizes(batches)
    ends = list(accumulate(sizes[number] for number in numbers))
    at = next(i for i, end in enumerate(ends) if position < end)
    return samples_before(batches, numbers[at]) + position - (ends[at] - sizes[numbers[at]])
