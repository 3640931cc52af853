"""A part of the samples of other batches: every so manieth, or all but these."""

from collections.abc import Iterator
from dataclasses import dataclass

from qdiag.batches import Batch, RewrittenBatches
from qdiag.simulate.passes.batch_rows import batch_axes, joined_batches, rows


@dataclass(frozen=True)
class EveryNth(RewrittenBatches):
    """The samples at positions `step - 1`, `2 step - 1`, ..., or, with `is_rest`, all others."""

    step: int
    is_rest: bool = False

    @property
    def sample_count(self) -> int:
        chosen = self.inner.sample_count // self.step
        return self.inner.sample_count - chosen if self.is_rest else chosen

    @property
    def batch_sizes(self) -> None:
        """Not known before the samples are read; taken for full."""

    def name(self, position: int) -> str:
        """That of the stored sample."""
        if self.is_rest:
            return self.inner.name(position + position // (self.step - 1))
        return self.inner.name((position + 1) * self.step - 1)

    def digest(self) -> str:
        """That of the stored data, and which of them these are."""
        return f"{self.inner.digest()} {self.step} {self.is_rest}"

    def __iter__(self) -> Iterator[Batch]:
        start, held, count, axes = 0, list[Batch](), 0, None
        for batch in self.inner:
            if axes is None:
                axes = batch_axes(batch)
            places = range(batch.sample_count)
            wanted = [i for i in places if ((start + i + 1) % self.step == 0) != self.is_rest]
            start += batch.sample_count
            if wanted:
                held.append(rows(batch, wanted))
                count += len(wanted)
            if count >= self.inner.batch_size:
                yield joined_batches(held, axes)
                held, count = [], 0
        if held and axes is not None:
            yield joined_batches(held, axes)
