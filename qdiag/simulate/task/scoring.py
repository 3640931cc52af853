"""What each of many variants is worth: output error and task, with per-sample figures kept for paired comparisons."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.capture.outputs.layout import OutputLayout
from qdiag.core.causes.score import FloatCost, Recovery, Score
from qdiag.core.measures.measurement import counts_parts
from qdiag.core.measures.task import UNDEFINED, Z_95, Interval
from qdiag.distributed.collector import Collector, add_by_name
from qdiag.simulate.task.base import Gain, Table
from qdiag.simulate.task.output_errors import OutputErrors, parts_of
from qdiag.simulate.task.tasks import ReferenceTallies, Tasks, TaskSink

Powers = npt.NDArray[np.float64]
Place = tuple[int, int]
"""An output, and a part of it from 1, or 0 for the whole."""


@dataclass(frozen=True)
class Scored:
    """One variant on all measured samples, N of them.

    Attributes:
        noise: sum of (reference - simulated)^2 of each sample, (N,), of each output or, where parts count, of each of
            its parts that has a signal. signal: the same of reference^2.
        tables: what the criterion that judges made of the samples, of the float network and of this one; None where
            the network is judged by its outputs' SQNR.
        relative_delta: largest |difference| over the largest |reference| value of each of them, the worst counts.
    """

    score: Score
    noise: dict[Place, Powers]
    signal: dict[Place, Powers]
    tasks: Tasks
    tables: tuple[Table, Table] | None
    relative_delta: float


@dataclass
class Scoreboard(Collector):
    """Collects the outputs of one variant, on their device: no batch waits for what another one adds up."""

    carried = ("_noise", "_signal", "_largest", "batch_count")

    names: tuple[str, ...]
    layouts: tuple[OutputLayout, ...]
    tasks: Tasks
    reference: ReferenceTallies
    _noise: dict[Place, list[Tensor]] = field(default_factory=dict)
    _signal: dict[Place, list[Tensor]] = field(default_factory=dict)
    _largest: dict[Place, Tensor] = field(default_factory=dict)
    batch_count: int = 0

    def __post_init__(self) -> None:
        self._outputs = OutputErrors(self.names, self.layouts, self.tasks.whole)
        self._task = TaskSink(self.tasks, self.reference)

    @property
    def fits_threads(self) -> bool:
        """See `Collector`."""
        return self._task.fits_threads

    def collectors(self) -> list[Collector]:
        """See `Collector`."""
        return [self, self._outputs, *self._task.collectors()]

    def merge(self, later: "Scoreboard") -> None:
        """See `Collector`."""
        self.batch_count += later.batch_count
        add_by_name(self._noise, later._noise)
        add_by_name(self._signal, later._signal)
        for at, ends in later._largest.items():
            self._widen(at, ends)

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Adds the outputs of one batch."""
        self.batch_count += 1
        self._outputs.add(batch, reference=reference, simulated=simulated)
        self._task.add(batch, reference=reference, simulated=simulated)
        count = batch.sample_count
        parts = parts_of(self.layouts, batch, reference, self.tasks.whole)
        for i, (r, s) in enumerate(zip(reference, simulated, strict=True)):
            if isinstance(r, Tensor) and r.is_floating_point():
                self._add_powers((i, 0), r, s, count)
                for k, part in enumerate(parts[i], 1):
                    self._add_powers((i, k), part.of(r), part.of(s), count)

    def _add_powers(self, at: Place, r: Tensor, s: Tensor, count: int) -> None:
        rows = r.double().reshape(count, -1) if r.ndim and r.shape[0] == count else r.double().reshape(1, -1)
        error = s.double().reshape(rows.shape) - rows
        finite = torch.isfinite(error)
        # what is not finite is worth nothing: it counts as noise of the size of the signal, not as silence
        error = torch.where(finite, error, torch.where(torch.isfinite(rows), rows, 0.0))
        rows = torch.where(torch.isfinite(rows), rows, 0.0)
        self._noise.setdefault(at, []).append(error.square().sum(1))
        self._signal.setdefault(at, []).append(rows.square().sum(1))
        farthest = torch.where(finite.all(), error.abs().amax(), math.inf)
        self._widen(at, torch.stack([farthest, rows.abs().amax()]))

    def _widen(self, at: Place, ends: Tensor) -> None:
        """Largest difference, and largest value of the reference, (2,)."""
        self._largest[at] = torch.maximum(self._largest[at], ends) if at in self._largest else ends

    def scored(self) -> Scored:
        """All samples so far."""
        score = Score(self._outputs.records(), self._task.result())
        signal = {at: _joined(batches) for at, batches in self._signal.items()}
        places = _judged(signal, by_part=counts_parts(score.task))
        largest = [self._largest[at].tolist() for at in places]
        deltas = [d / top if top > 0.0 else (math.inf if d > 0.0 else 0.0) for d, top in largest]
        return Scored(
            score=score,
            noise={at: _joined(self._noise[at]) for at in places},
            signal={at: signal[at] for at in places},
            tasks=self.tasks,
            tables=self._task.tables(),
            relative_delta=max(deltas, default=0.0),
        )


def _joined(batches: Sequence[Tensor]) -> Powers:
    powers: Powers = torch.cat([batch.cpu() for batch in batches]).numpy()
    return powers


def recovery(*, before: Scored, after: Scored) -> Recovery:
    """What `after` has over `before` on the same samples.

    Decibels are those of the output, or part of one, that had lost most before, and their 95 % interval is that of the
    ratio of the two noise sums, linearized over samples (delta method): the standard error of 10 log10(A / B) is
    10 / ln 10 * sqrt(sum_i (a_i / A - b_i / B)^2).
    """
    place, task = _worst_place(before), _gain(before=before, after=after)
    if place is None:
        return Recovery(math.nan, UNDEFINED, task.value, task.interval, task.pairs)
    a, b = before.noise[place], after.noise[place]
    total_a, total_b = float(a.sum()), float(b.sum())
    if total_a == total_b:
        gained, margin = 0.0, 0.0
    elif total_a == 0.0 or total_b == 0.0:
        gained, margin = (math.inf if total_b == 0.0 else -math.inf), 0.0
    else:
        gained = 10.0 * math.log10(total_a / total_b)
        margin = Z_95 * 10.0 / math.log(10.0) * float(np.sqrt(np.square(a / total_a - b / total_b).sum()))
    return Recovery(gained, Interval(gained - margin, gained + margin), task.value, task.interval, task.pairs)


def float_cost(float_variant: Scored) -> FloatCost:
    """What a repair does to the float network, from the repaired float network scored against the original one."""
    judged = float_variant.score.task.judged
    if judged is None:
        return FloatCost(float_variant.relative_delta)
    return FloatCost(float_variant.relative_delta, judged.loss, judged.criterion.change_unit, judged.small)


def _gain(*, before: Scored, after: Scored) -> Gain:
    if before.tables is None or after.tables is None or after.tasks.judged is None:
        return Gain(math.nan, UNDEFINED)
    return after.tasks.judged.gain(before=before.tables[1], after=after.tables[1])


def _judged(signal: Mapping[Place, Powers], *, by_part: bool) -> list[Place]:
    """Of each output its parts with a signal, where parts count and there are some; otherwise the whole."""
    parts = [at for at, powers in signal.items() if by_part and at[1] and powers.any()]
    divided = {output for output, _ in parts}
    return [at for at in signal if at in parts or (not at[1] and at[0] not in divided)]


def _worst_place(scored: Scored) -> Place | None:
    """Where most was lost of what has a signal, at the judged output where there is one."""

    def sqnr(at: Place) -> float:
        noise, signal = float(scored.noise[at].sum()), float(scored.signal[at].sum())
        return math.inf if noise == 0.0 else -math.inf if signal == 0.0 else signal / noise

    places = [at for at in scored.noise if scored.signal[at].any()] or list(scored.noise)
    own = [at for at in places if at[0] == scored.tasks.output]
    return min(own or places, key=sqnr, default=None)
