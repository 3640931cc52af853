"""Some of the batches of a data set, spread over all of it, so that sorted data give a mixture too."""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from qdiag.batches import Batch, Batches, RewrittenBatches, some_batches


def spread_over(batches: Batches, samples: int) -> frozenset[int]:
    """Numbers of as few batches as hold so many samples; those for half as many are among them, where all are full."""
    size = max(batches.batch_size, 1)
    count, wanted = -(-batches.sample_count // size), -(-samples // size)
    if wanted >= count:
        return frozenset(range(count))
    return frozenset(i * count // wanted for i in range(max(wanted, 1)))


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
    if len(spread_over(batches, samples)) * max(batches.batch_size, 1) >= batches.sample_count:
        return batches
    return SpreadBatches(batches, samples)


@dataclass(frozen=True)
class SpreadBatches(RewrittenBatches):
    """The batches that `spread_over` chooses, whole."""

    most: int

    @property
    def sample_count(self) -> int:
        return min(len(spread_over(self.inner, self.most)) * self.inner.batch_size, self.inner.sample_count)

    def name(self, position: int) -> str:
        """That of the stored sample."""
        size, chosen = self.inner.batch_size, sorted(spread_over(self.inner, self.most))
        return self.inner.name(chosen[position // size] * size + position % size)

    def digest(self) -> str:
        """That of the stored data, and how many of them these are."""
        return f"{self.inner.digest()} spread {self.most}"

    def __iter__(self) -> Iterator[Batch]:
        return self.between(0, None)

    def between(self, start: int, stop: int | None) -> Iterator[Batch]:
        """See `PartlyRead`."""
        return some_batches(self.inner, sorted(spread_over(self.inner, self.most))[start:stop])
