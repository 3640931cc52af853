"""The output of one layer in all lanes: clamp, quantize, and measure, in one walk over memory."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from qdiag.numerics.layout import alike, dense, flat_chunks
from qdiag.numerics.quantizers.base import Clamp, Quantizer
from qdiag.simulate.passes.lanes import REFERENCE, Lanes

Look = Callable[[Sequence[Tensor]], None]
"""Sees a flat piece of the output in every lane, closed, local lanes not yet started anew. A lane's piece is closed
when it is first asked for, so that a lane that is looked at by itself is in the cache."""


@dataclass(frozen=True)
class Step:
    """What a lane does to a layer's output: clamp, then quantize."""

    quantizer: Quantizer | None = None
    clamp: Clamp | None = None
    is_limited: bool = False
    """What comes lies within the ends of the quantizer already."""

    @classmethod
    def of(cls, quantizer: Quantizer | None, clamp: Clamp | None) -> "Step":
        """Without the clamp where the quantizer covers it."""
        is_idle = quantizer is not None and clamp is not None and quantizer.covers(clamp)
        return cls(quantizer, None if is_idle else clamp)

    @cached_property
    def key(self) -> Hashable:
        """Equal for steps that do the same."""
        return (self.quantizer.key if self.quantizer is not None else None, self.clamp)

    @property
    def first(self) -> Clamp | None:
        """What is limited before anything else, or may be: between these bounds."""
        return self.clamp if self.clamp is not None or self.quantizer is None else self.quantizer.ends

    @cached_property
    def rest(self) -> "Step":
        """What remains where `first` was done."""
        return Step(self.quantizer, None, is_limited=self.clamp is None)

    @property
    def writes(self) -> bool:
        return self.quantizer is not None or self.clamp is not None

    def run(self, source: Tensor, target: Tensor) -> None:
        """From one chunk to another; both may be the same."""
        if self.clamp is not None:
            torch.clamp(source, *self.clamp, out=target)
            source = target
        if self.quantizer is not None:
            quantize = self.quantizer.round_chunk if self.is_limited else self.quantizer.fake_quantize_chunk
            quantize(source, target)


@dataclass
class _Job:
    """One step on one tensor, for every lane that has both."""

    step: Step
    source: Tensor
    target: Tensor


class _Pieces(Sequence[Tensor]):
    """A flat piece in every lane; what a lane does to it is done when it is asked for.

    Args:
        steps: of each job. sources, targets: its piece. seen: the job of each lane.
    """

    def __init__(
        self, steps: Sequence[Step], sources: Sequence[Tensor], targets: Sequence[Tensor], seen: Sequence[int]
    ) -> None:
        self._steps, self._sources, self._targets, self._seen = steps, sources, targets, seen
        self._open = set(range(len(steps)))

    def __len__(self) -> int:
        return len(self._seen)

    def __getitem__(self, lane: Any) -> Any:
        seen = self._seen[lane]
        return self._closed(seen) if isinstance(seen, int) else [self._closed(job) for job in seen]

    def _closed(self, job: int) -> Tensor:
        if job in self._open:
            self._open.remove(job)
            self._steps[job].run(self._sources[job], self._targets[job])
        return self._targets[job]

    def close(self) -> None:
        """Every lane that nobody asked for."""
        for job in sorted(self._open):
            self._closed(job)


Place = tuple[int, Hashable]
"""A tensor by identity, and what is done to it: lanes with equal places get the same object."""


class Site:
    """Closes the output of one layer.

    Args:
        steps: of each lane, the reference's first.
        local: lanes that start anew from the reference, and what they quantize it with.
        derive: what closes the reference in place of its step, as a part of the gradient's history.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        local: Mapping[int, Quantizer | None] = MappingProxyType({}),
        derive: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.steps, self._derive = list(steps), derive
        self._starts = {lane: Step.of(quantizer, steps[REFERENCE].clamp) for lane, quantizer in local.items()}

    @property
    def firsts(self) -> Sequence[Clamp | None]:
        """Of each lane, the clamp that an operation may do itself; see `Lanes.is_limited`."""
        return [step.first for step in self.steps]

    def close(self, lanes: Lanes, look: Look | None = None) -> Lanes:
        """The lanes after the layer; memory that is fresh, and that nobody else needs, is written to.

        A reference with a history for its gradient keeps it.
        """
        sources, steps, derived = list(lanes.tensors), list(self.steps), None
        if lanes.is_limited:
            steps = [step.rest if done else step for step, done in zip(steps, lanes.is_limited, strict=True)]
        if self._derive is not None or sources[REFERENCE].requires_grad:
            clamp = steps[REFERENCE].clamp
            derived = self._derive(sources[REFERENCE]) if self._derive else _derived(sources[REFERENCE], clamp)
            sources[REFERENCE], steps[REFERENCE] = derived.detach(), Step()
        places: list[Place] = [(id(source), step.key) for source, step in zip(sources, steps, strict=True)]
        is_joint = look is not None or any(start.quantizer is not None for start in self._starts.values())
        jobs = _jobs(places, sources, steps, is_fresh=lanes.is_fresh, is_joint=is_joint)
        starts = self._new_starts(places, jobs)
        if is_joint:
            self._walk(places, jobs, starts, look)
        else:
            for job in jobs.values():
                for source, target in flat_chunks(job.source, job.target) if job.step.writes else ():
                    job.step.run(source, target)
        closed = [jobs[place].target for place in places]
        for lane, start in self._starts.items():
            at = (places[REFERENCE][0], start.key)
            closed[lane] = (
                closed[REFERENCE] if start.quantizer is None else starts[at] if at in starts else jobs[at].target
            )
        closed[REFERENCE] = derived if derived is not None else closed[REFERENCE]
        return Lanes(closed)

    def _new_starts(self, places: Sequence[Place], jobs: Mapping[Place, _Job]) -> dict[Place, Tensor]:
        """Where local lanes start that no job happens to compute: over what they measured, where nobody reads that."""
        starts: dict[Place, Tensor] = {}
        for lane, start in self._starts.items():
            at = (places[REFERENCE][0], start.key)
            if start.quantizer is not None and at not in jobs and at not in starts:
                own = jobs[places[lane]].target
                starts[at] = own if places.count(places[lane]) == 1 else torch.empty_like(own)
        return starts

    def _walk(
        self, places: Sequence[Place], jobs: Mapping[Place, _Job], starts: Mapping[Place, Tensor], look: Look | None
    ) -> None:
        """All lanes chunk by chunk, so that each value is fetched from memory once."""
        order = {place: i for i, place in enumerate(jobs)}
        steps, seen = [job.step for job in jobs.values()], [order[place] for place in places]
        quantizers = [next(s.quantizer for s in self._starts.values() if s.key == key) for _, key in starts]
        tensors = [t for job in jobs.values() for t in (job.source, job.target)]
        for chunks in flat_chunks(*tensors, *starts.values()):
            pieces = _Pieces(steps, chunks[0 : len(tensors) : 2], chunks[1 : len(tensors) : 2], seen)
            if look is not None:
                look(pieces)
            pieces.close()
            for quantizer, start in zip(quantizers, chunks[len(tensors) :], strict=True):
                assert quantizer is not None
                quantizer.fake_quantize_chunk(pieces[REFERENCE], start)


def _jobs(
    places: Sequence[Place], sources: Sequence[Tensor], steps: Sequence[Step], *, is_fresh: bool, is_joint: bool
) -> dict[Place, _Job]:
    """One job for each place; together they need one layout."""
    readers = Counter(source for source, _ in set(places))
    first = dense(sources[REFERENCE]) if is_joint else sources[REFERENCE]
    laid: dict[int, Tensor] = {id(sources[REFERENCE]): first} if is_joint else {}
    jobs: dict[Place, _Job] = {}
    for place, source, step in zip(places, sources, steps, strict=True):
        if place in jobs:
            continue
        if place[0] not in laid and (is_joint or step.writes):
            laid[place[0]] = alike(first, source) if is_joint else dense(source)
        own = laid.get(place[0], source)
        is_ours = (is_fresh or own is not source) and readers[place[0]] == 1
        jobs[place] = _Job(step, own, own if is_ours or not step.writes else torch.empty_like(own))
    return jobs


def _derived(reference: Tensor, clamp: Clamp | None) -> Tensor:
    """The clamped reference as a step of the gradient's history."""
    with torch.enable_grad():
        return reference if clamp is None else reference.clamp(*clamp)
