"""Some of the batches of a data set, spread over all of it, so that sorted data give a mixture too."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from qdiag.batches import Batch, Batches, RewrittenBatches, batches_between
from qdiag.distributed.batch_sizes import batch_count, batch_sizes, place_of, uneven, uneven_sizes


def spread_over(batches: Batches, samples: int) -> frozenset[int]:
    """Numbers of as few batches as hold so many samples; those for half as many are among them."""
    sizes = uneven_sizes(batches)
    if sizes is not None:
        return _spread_over_uneven(sizes, samples)
    count, wanted = batch_count(batches), -(-samples // max(batches.batch_size, 1))
    if wanted >= count:
        return frozenset(range(count))
    return frozenset(i * count // wanted for i in range(max(wanted, 1)))


def _spread_over_uneven(sizes: Sequence[int], samples: int) -> frozenset[int]:
    """The first one, that in the middle, those in the middle of the halves, and so on, until they hold enough."""
    digits = max(len(sizes) - 1, 1).bit_length()
    chosen, held = set[int](), 0
    for i in range(1 << digits):
        number = int(f"{i:0{digits}b}"[::-1], 2)
        if number < len(sizes) and (held < samples or not chosen):
            chosen.add(number)
            held += sizes[number]
    return frozenset(chosen)


@dataclass(frozen=True)
class AllBut(Container[int]):
    """The numbers of all other batches, however many there are."""

    numbers: Container[int]

    def __contains__(self, number: object) -> bool:
        return number not in self.numbers


def identity(batches: Batches) -> tuple[int, int]:
    """Equal for the same batches of the same data set."""
    return (id(batches.inner), batches.most) if isinstance(batches, SpreadBatches) else (id(batches), -1)


def some_of(batches: Batches, samples: int) -> Batches:
    """As few batches as hold so many samples, spread over all of them; the data set itself where these are all."""
    if len(spread_over(batches, samples)) == batch_count(batches):
        return batches
    return SpreadBatches(batches, samples)


@dataclass(frozen=True)
class SpreadBatches(RewrittenBatches):
    """The batches that `spread_over` chooses, whole."""

    most: int

    @property
    def numbers(self) -> list[int]:
        """Of these batches in the whole data set."""
        return sorted(spread_over(self.inner, self.most))

    @property
    def sample_count(self) -> int:
        sizes = batch_sizes(self.inner)
        return sum(sizes[number] for number in self.numbers)

    @property
    def batch_sizes(self) -> Sequence[int] | None:
        """See `qdiag.distributed.batch_sizes`."""
        sizes = uneven_sizes(self.inner)
        return uneven([sizes[i] for i in self.numbers], self.batch_size) if sizes is not None else None

    def name(self, position: int) -> str:
        """That of the stored sample."""
        return self.inner.name(place_of(self.inner, self.numbers, position))

    def digest(self) -> str:
        """That of the stored data, and how many of them these are."""
        return f"{self.inner.digest()} spread {self.most}"

    def __iter__(self) -> Iterator[Batch]:
        return self.between(0, None)

    def between(self, start: int, stop: int | None) -> Iterator[Batch]:
        """See `PartlyRead`."""
        return some_batches(self.inner, self.numbers[start:stop])


@runtime_checkable
class Picked(Protocol):
    """Batches of which any can be had without reading others."""

    def some(self, numbers: Sequence[int]) -> Iterator[Batch] | None:
        """Those of these numbers, ascending; None where the others have to be read too."""
        ...


def some_batches(batches: Batches, numbers: Sequence[int]) -> Iterator[Batch]:
    """The batches of these numbers, ascending; those between them are read where it has to be."""
    if not numbers:
        return iter(())
    own = batches.some(numbers) if isinstance(batches, Picked) else None
    if own is not None:
        return own
    between = enumerate(batches_between(batches, numbers[0], numbers[-1] + 1), numbers[0])
    return (batch for number, batch in between if number in numbers)
