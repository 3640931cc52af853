"""The error at the outputs of the network, of each as a whole and part by part."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.capture.outputs.layout import OutputLayout, Part
from qdiag.core.measures.measurement import OutputPart, OutputRecord
from qdiag.distributed.collector import Collector, merge_by_name
from qdiag.numerics.error_accumulator import ErrorAccumulator


def parts_of(
    layouts: Sequence[OutputLayout], batch: Batch, reference: tuple[Any, ...], whole: int | None
) -> list[tuple[Part, ...]]:
    """The parts of each output of a batch; none of output `whole`, and of what has another shape."""
    parts: list[tuple[Part, ...]] = [() for _ in reference]
    for i, (layout, output) in enumerate(zip(layouts, reference, strict=False)):
        if i != whole and isinstance(output, Tensor) and layout.fits(output, batch.sample_count):
            parts[i] = layout.parts
    return parts


@dataclass
class OutputErrors(Collector):
    """Adds up the error at every float output of the network.

    Args:
        names: of all outputs. layouts: of the same ones; none where outputs are looked at as a whole alone.
        whole: an output that is one thing, such as logits.
        follows_samples: whether outputs differ between samples is wanted too.
    """

    carried = ("_errors", "_shapes", "_parts", "_ends", "_sample_count")

    names: tuple[str, ...]
    layouts: tuple[OutputLayout, ...] = ()
    whole: int | None = None
    follows_samples: bool = False
    _errors: dict[int, ErrorAccumulator] = field(default_factory=dict)
    _shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _parts: dict[int, dict[str, ErrorAccumulator]] = field(default_factory=dict)
    _ends: dict[int, tuple[Tensor, Tensor] | None] = field(default_factory=dict)
    _sample_count: int = 0

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Adds the outputs of one batch."""
        parts = parts_of(self.layouts, batch, reference, self.whole)
        self._sample_count += batch.sample_count
        for i, (r, s) in enumerate(zip(reference, simulated, strict=True)):
            if isinstance(r, Tensor) and r.is_floating_point():
                self._errors.setdefault(i, ErrorAccumulator()).add(reference=r, simulated=[s])
                self._shapes[i] = tuple(r.shape[1:])
                self._add_parts(i, parts[i], r, s)
                if self.follows_samples:
                    self._widen(i, r, batch.sample_count)

    def merge(self, later: "OutputErrors") -> None:
        """See `Collector`."""
        self._sample_count += later._sample_count
        merge_by_name(self._errors, later._errors)
        self._shapes |= later._shapes
        for i, parts in later._parts.items():
            known = self._parts.setdefault(i, parts)
            if known is not parts:
                if known and parts:
                    merge_by_name(known, parts)
                else:
                    known.clear()  # as where a batch cannot be divided
        for i, ends in later._ends.items():
            self._join_ends(i, ends)

    def _widen(self, i: int, r: Tensor, sample_count: int) -> None:
        """Smallest and largest value over the samples, at each place of the output; None where places differ."""
        rows = r if r.ndim and r.shape[0] == sample_count else r.unsqueeze(0)
        self._join_ends(i, (rows.amin(0), rows.amax(0)))

    def _join_ends(self, i: int, ends: tuple[Tensor, Tensor] | None) -> None:
        known = self._ends.get(i, ends)
        if known is None or ends is None or known[0].shape != ends[0].shape:
            self._ends[i] = None
        else:
            self._ends[i] = torch.minimum(known[0], ends[0]), torch.maximum(known[1], ends[1])

    def _is_constant(self, i: int) -> bool:
        ends = self._ends.get(i)
        return self._sample_count > 1 and ends is not None and bool((ends[0] == ends[1]).all())

    def _add_parts(self, i: int, parts: tuple[Part, ...], r: Tensor, s: Tensor) -> None:
        known = self._parts.setdefault(i, {part.name: ErrorAccumulator() for part in parts})
        if not parts:
            known.clear()  # a batch that cannot be divided: parts of the others alone would be no parts of the whole
        for part in parts if known else ():
            known[part.name].add(reference=part.of(r), simulated=[part.of(s)])

    def records(self) -> tuple[OutputRecord, ...]:
        """One record per float output."""
        return tuple(
            OutputRecord(
                self.names[i],
                self._shapes[i],
                error.sums()[0],
                tuple(OutputPart(name, part.sums()[0]) for name, part in self._parts[i].items()),
                self._is_constant(i),
            )
            for i, error in self._errors.items()
        )
