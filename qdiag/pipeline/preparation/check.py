"""The captured graph against the network itself, on samples and batch sizes that it was not captured with.

Tracing follows the one way that its example took, and a graph may hold a batch size as a number. Both show on other
samples and at other sizes, before anything is reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from qdiag.batches import Batch, Batches
from qdiag.capture.agreement import Difference, first_difference, same_sample, sample_parts
from qdiag.capture.program import Program, Runner
from qdiag.capture.randomness import random_places
from qdiag.errors import CaptureError, DataError
from qdiag.pipeline.preparation.fixed_batches import chosen, on_cpu
from qdiag.pipeline.preparation.inputs import first_batch, naming
from qdiag.pipeline.preparation.original import Original, own_copy

_NAMES_AT_MOST = 3


@dataclass(frozen=True)
class Checked:
    """What the comparison found out.

    Attributes:
        program: as given, with the batch size that it holds for.
        sample_count: samples compared. batch_sizes: at which, ascending.
        depends_on_batch: what comes out for a sample depends on the samples beside it.
    """

    program: Program
    sample_count: int
    batch_sizes: tuple[int, ...]
    depends_on_batch: bool


def check_program(program: Program, original: Original, example: Batch, sources: Sequence[Batches]) -> Checked:
    """Compares on the example, on the first batch of the first source, and on three of its samples alone.

    Of another source two samples are enough where its batches have a size that was compared already: what its values
    could show, they show at any size.

    A graph that the tracer warned of is compared so on every batch: what it warned of shows on some values only.

    Args:
        example: what the graph was captured with.
        sources: the data of the run, each in the batches that the run uses.

    Raises:
        CaptureError: the graph is another network, or the network has no one result: it is random or keeps state.
        DataError: the network does not accept the data.
    """
    check = _Check(program, original, example)
    check.at_the_example()
    for position, batches in enumerate({id(batches): batches for batches in sources}.values()):
        with naming(batches):
            check.on(first_batch(batches), with_singles=position == 0, is_few=position > 0)
            if program.doubts:
                for batch in islice(batches, 1, None):
                    check.on(batch, with_singles=True)
    return check.result()


class _Check:
    def __init__(self, program: Program, original: Original, example: Batch) -> None:
        self._program, self._original, self._example = program, original, example
        self._size = example.sample_count
        self._is_fixed = program.batch_size is not None
        self._runner = Runner(program)
        self._count = 0
        self._sizes: set[int] = set()
        self._depends_on_batch = False

    def at_the_example(self) -> None:
        """The network is one function of its inputs, and the graph computes it."""
        expected = self._original(self._example)
        self._refuse_random(expected)
        self._refuse_stateful(expected)
        found = self._compared(self._example, expected)
        if found is not None:
            raise self._refusal(found, self._size)
        self._note(self._size)

    def on(self, batch: Batch, *, with_singles: bool, is_few: bool = False) -> None:
        """A batch as it is, and three of its samples each alone.

        Args:
            is_few: as many of its samples as the graph was captured with, where one of its size was compared already.
        """
        batch = on_cpu(batch)
        if is_few and batch.sample_count in self._sizes and not self._is_fixed:
            batch = chosen(batch, list(range(min(self._size, batch.sample_count))))
        expected = self._whole(batch)
        if with_singles and batch.sample_count > 1:
            self._alone(batch, expected)

    def _whole(self, batch: Batch, known: tuple[Tensor, ...] | None = None) -> tuple[Tensor, ...]:
        """The outputs of the network for a batch, with which the graph agrees: at once, or in parts of its own size.

        Args:
            known: these outputs, where the network was run already.
        """
        expected, size = known if known is not None else self._original(batch), batch.sample_count
        found = None if self._is_fixed and size != self._size else self._compared(batch, expected)
        if (self._is_fixed or found is not None) and size != self._size:
            in_parts = self._compared_in_parts(batch, expected)
            if in_parts is not None:
                raise self._refusal(found or in_parts, size)
            self._is_fixed, found = True, None
        if found is not None:
            raise self._refusal(found, size)
        self._note(size)
        return expected

    def _alone(self, batch: Batch, expected: tuple[Tensor, ...]) -> None:
        """Three samples, each alone; a network that takes no single sample is not asked."""
        last = batch.sample_count - 1
        for index in sorted({0, last // 2, last}):
            single = chosen(batch, [index])
            try:
                own = self._original(single)
            except DataError:
                return
            self._whole(single, own)
            agree = [
                same_sample(x, batch.sample_count, index, one, 1, 0) for x, one in zip(expected, own, strict=False)
            ]
            self._depends_on_batch |= not all(agree)

    def result(self) -> Checked:
        fixed = self._program.batch_size or (self._size if self._is_fixed else None)
        program = replace(self._program, batch_size=fixed)
        return Checked(program, self._count, tuple(sorted(self._sizes)), self._depends_on_batch)

    def _compared(self, batch: Batch, expected: tuple[Tensor, ...]) -> Difference | None:
        try:
            actual = self._outputs(batch)
        # a graph fails on other batch sizes in as many ways as there are operations
        except Exception as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            return Difference(0, f"it fails ({type(error).__name__}: {lines[0][:200] if lines else 'no message'})")
        return first_difference(expected, actual)

    def _compared_in_parts(self, batch: Batch, expected: tuple[Tensor, ...]) -> Difference | None:
        """As `_compared`, in parts of the size that the graph was captured with, the last one filled up."""
        count, size = batch.sample_count, self._size
        for start in range(0, count, size):
            actual = self._outputs(chosen(batch, [min(start + i, count - 1) for i in range(size)]))
            if len(actual) != len(expected):
                return first_difference(expected, actual)
            for i in range(min(size, count - start)):
                parts = [sample_parts(e, count, start + i, a, size, i) for e, a in zip(expected, actual, strict=True)]
                if None in parts:
                    return Difference(parts.index(None), "another shape")
                known = [part for part in parts if part is not None]
                found = first_difference([e for e, _ in known], [a for _, a in known])
                if found is not None:
                    return found
        return None

    def _outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        batch = own_copy(batch)
        with torch.no_grad():
            return tuple(x for x in self._runner(batch.args, batch.kwargs) if isinstance(x, Tensor))

    def _note(self, size: int) -> None:
        self._count += size
        self._sizes.add(size)

    def _refuse_random(self, expected: tuple[Tensor, ...]) -> None:
        for seed, what in ((1, "random numbers"), (0, "something that changes between two calls, such as the time")):
            found = first_difference(expected, self._original(self._example, seed=seed))
            if found is not None:
                places = random_places(self._program)
                raise CaptureError(
                    f"the network is random: two calls on the same samples have {found.what} in "
                    f"{self._name(found)}; its result depends on {what}{places_words(places)}",
                    hint="make it deterministic in eval mode (is a functional dropout left on?), "
                    "or measure another part with `submodule`",
                )

    def _refuse_stateful(self, expected: tuple[Tensor, ...]) -> None:
        again, changed = self._original.after_itself(self._example)
        found = first_difference(expected, again)
        if found is not None:
            kept = f", which changes {', '.join(changed[:_NAMES_AT_MOST])}" if changed else ""
            raise CaptureError(
                f"the result depends on the calls before{kept}: a second call on the same samples has {found.what} in "
                f"{self._name(found)}",
                hint="make the state an input and an output of forward, or measure another part with `submodule`",
            )

    def _name(self, found: Difference) -> str:
        names = self._program.output_names
        return names[found.output] if found.output < len(names) else "the outputs"

    def _refusal(self, found: Difference, size: int) -> CaptureError:
        """What differs, and why where that is known."""
        samples = "one sample" if size == 1 else f"a batch of {size}"
        message = f"the captured graph computes something else than the network for {samples}: {found.what}"
        if not found.what.startswith("it fails"):
            message += f" in {self._name(found)}"
        if self._program.doubts:
            told = "; ".join(self._program.doubts[:_NAMES_AT_MOST])
            return CaptureError(
                f"{message}; {told}",
                hint="a graph holds one way through forward: write the choice with torch.where or torch.cond, "
                "keep values in torch, or measure another part with `submodule`",
            )
        if size != self._size:
            return CaptureError(
                f"{message} (captured with {self._size}): forward computes something else at another batch size",
                hint=f"does forward look at the batch size? Measure with `batch_size={self._size}`, "
                "or another part with `submodule`",
            )
        return CaptureError(message, hint="save it with torch.export.save, or measure another part with `submodule`")


def places_words(places: Sequence[str]) -> str:
    """`: aten.rand_like (net.py:12)`, or nothing."""
    more = f" and {len(places) - _NAMES_AT_MOST} more" if len(places) > _NAMES_AT_MOST else ""
    return f": {', '.join(places[:_NAMES_AT_MOST])}{more}" if places else ""
