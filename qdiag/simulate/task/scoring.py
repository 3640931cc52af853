"""What each of many variants is worth: output error and task, with per-sample figures kept for paired comparisons."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.capture.outputs.layout import OutputLayout
from qdiag.core.causes.ranking import FloatCost, Recovery, Score, TaskKind
from qdiag.core.measures.measurement import counts_parts
from qdiag.core.measures.task import Z_95, Interval, PairedCounts
from qdiag.simulate.task.counts import Classification
from qdiag.simulate.task.output_errors import OutputErrors, parts_of
from qdiag.simulate.task.top_k import is_in_top, logits_index, same_top1, takes_labels

Flags = npt.NDArray[np.bool_]
Powers = npt.NDArray[np.float64]
Place = tuple[int, int]
"""An output, and a part of it from 1, or 0 for the whole."""


@dataclass(frozen=True)
class Scored:
    """One variant on all measured samples, N of them.

    Attributes:
        noise: sum of (reference - simulated)^2 of each sample, (N,), of each output or, where parts count, of each of
            its parts that has a signal. signal: the same of reference^2.
        relative_delta: largest |difference| over the largest |reference| value of each of them, the worst counts.
        is_right: the variant's top-1 is the label, (N,); None without labels or logits.
        agrees: it is the float network's top-1, (N,); None without logits.
    """

    score: Score
    noise: dict[Place, Powers]
    signal: dict[Place, Powers]
    is_right: Flags | None
    agrees: Flags | None
    relative_delta: float

    @property
    def task_kind(self) -> TaskKind:
        return "top1" if self.is_right is not None else "agreement" if self.agrees is not None else "none"

    @property
    def success(self) -> Flags | None:
        """Samples that count as a success: right where there are labels, otherwise in agreement."""
        return self.is_right if self.is_right is not None else self.agrees


@dataclass
class Scoreboard:
    """Collects the outputs of one variant."""

    names: tuple[str, ...]
    layouts: tuple[OutputLayout, ...] = ()
    _noise: dict[Place, list[Powers]] = field(default_factory=dict)
    _signal: dict[Place, list[Powers]] = field(default_factory=dict)
    _right: list[Flags] = field(default_factory=list)
    _agrees: list[Flags] = field(default_factory=list)
    _largest: dict[Place, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._outputs, self._task = OutputErrors(self.names, self.layouts), Classification()

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Adds the outputs of one batch."""
        self._outputs.add(batch, reference=reference, simulated=simulated)
        self._task.add(batch, reference=reference, simulated=simulated)
        count = batch.sample_count
        parts = parts_of(self.layouts, batch, reference)
        for i, (r, s) in enumerate(zip(reference, simulated, strict=True)):
            if isinstance(r, Tensor) and r.is_floating_point():
                self._add_powers((i, 0), r, s, count)
                for k, part in enumerate(parts[i], 1):
                    self._add_powers((i, k), part.of(r), part.of(s), count)
        index = logits_index(reference, count)
        if index is not None:
            r, s = reference[index].float(), simulated[index].float()
            self._agrees.append(same_top1(r, s).cpu().numpy())
            if takes_labels(batch):
                assert batch.labels is not None
                self._right.append(is_in_top(s, batch.labels.to(s.device), 1).cpu().numpy())

    def _add_powers(self, at: Place, r: Tensor, s: Tensor, count: int) -> None:
        rows = r.double().reshape(count, -1) if r.ndim and r.shape[0] == count else r.double().reshape(1, -1)
        error = s.double().reshape(rows.shape) - rows
        finite = torch.isfinite(error)
        # what is not finite is worth nothing: it counts as noise of the size of the signal, not as silence
        error = torch.where(finite, error, torch.where(torch.isfinite(rows), rows, 0.0))
        rows = torch.where(torch.isfinite(rows), rows, 0.0)
        self._noise.setdefault(at, []).append(error.square().sum(1).cpu().numpy())
        self._signal.setdefault(at, []).append(rows.square().sum(1).cpu().numpy())
        largest = self._largest.setdefault(at, [0.0, 0.0])
        largest[0] = max(largest[0], float(error.abs().amax()) if finite.all() else math.inf)
        largest[1] = max(largest[1], float(rows.abs().amax()))

    def scored(self) -> Scored:
        """All samples so far."""
        score = Score(self._outputs.records(), self._task.result())
        signal = {at: np.concatenate(batches) for at, batches in self._signal.items()}
        places = _judged(signal, by_part=counts_parts(score.task))
        largest = [self._largest[at] for at in places]
        deltas = [d / top if top > 0.0 else (math.inf if d > 0.0 else 0.0) for d, top in largest]
        return Scored(
            score=score,
            noise={at: np.concatenate(self._noise[at]) for at in places},
            signal={at: signal[at] for at in places},
            is_right=np.concatenate(self._right) if self._right else None,
            agrees=np.concatenate(self._agrees) if self._agrees else None,
            relative_delta=max(deltas, default=0.0),
        )


def recovery(*, before: Scored, after: Scored) -> Recovery:
    """What `after` has over `before` on the same samples.

    Decibels are those of the output, or part of one, that had lost most before, and their 95 % interval is that of the
    ratio of the two noise sums, linearized over samples (delta method): the standard error of 10 log10(A / B) is
    10 / ln 10 * sqrt(sum_i (a_i / A - b_i / B)^2).
    """
    place = _worst_place(before)
    if place is None:
        return Recovery(math.nan, Interval(math.nan, math.nan), _pairs(before=before, after=after))
    a, b = before.noise[place], after.noise[place]
    total_a, total_b = float(a.sum()), float(b.sum())
    if total_a == total_b:
        gained, margin = 0.0, 0.0
    elif total_a == 0.0 or total_b == 0.0:
        gained, margin = (math.inf if total_b == 0.0 else -math.inf), 0.0
    else:
        gained = 10.0 * math.log10(total_a / total_b)
        margin = Z_95 * 10.0 / math.log(10.0) * float(np.sqrt(np.square(a / total_a - b / total_b).sum()))
    return Recovery(gained, Interval(gained - margin, gained + margin), _pairs(before=before, after=after))


def float_cost(float_variant: Scored) -> FloatCost:
    """What a repair does to the float network, from the repaired float network scored against the original one."""
    success = float_variant.success
    if success is None:
        return FloatCost(float_variant.relative_delta)
    if float_variant.is_right is None:
        n, kept = len(success), int(success.sum())
        return FloatCost(float_variant.relative_delta, PairedCounts(kept, n - kept, 0, 0))
    return FloatCost(float_variant.relative_delta, float_variant.score.task.top1)


def _judged(signal: Mapping[Place, Powers], *, by_part: bool) -> list[Place]:
    """Of each output its parts with a signal, where parts count and there are some; otherwise the whole."""
    parts = [at for at, powers in signal.items() if by_part and at[1] and powers.any()]
    divided = {output for output, _ in parts}
    return [at for at in signal if at in parts or (not at[1] and at[0] not in divided)]


def _worst_place(scored: Scored) -> Place | None:
    def sqnr(at: Place) -> float:
        noise, signal = float(scored.noise[at].sum()), float(scored.signal[at].sum())
        return math.inf if noise == 0.0 else -math.inf if signal == 0.0 else signal / noise

    return min(scored.noise, key=sqnr) if scored.noise else None


def _pairs(*, before: Scored, after: Scored) -> PairedCounts | None:
    old, new = before.success, after.success
    if old is None or new is None:
        return None
    return PairedCounts(
        both=int((old & new).sum()),
        reference_only=int((new & ~old).sum()),
        simulated_only=int((old & ~new).sum()),
        neither=int((~old & ~new).sum()),
    )
