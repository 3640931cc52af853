"""What each of many variants is worth: output error and task, with per-sample figures kept for paired comparisons."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.causes.ranking import FloatCost, Recovery, Score, TaskKind
from qdiag.core.measures.task import Z_95, Interval, PairedCounts
from qdiag.simulate.task.counts import Classification
from qdiag.simulate.task.output_errors import OutputErrors
from qdiag.simulate.task.top_k import is_in_top, logits_index, same_top1, takes_labels

Flags = npt.NDArray[np.bool_]
Powers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """One variant on all measured samples, N of them.

    Attributes:
        noise: output index to sum of (reference - simulated)^2 of each sample, (N,). signal: the same of reference^2.
        is_right: the variant's top-1 is the label, (N,); None without labels or logits.
        agrees: it is the float network's top-1, (N,); None without logits.
        relative_delta: largest |difference| over the largest |reference| value, the worst output counts.
    """

    score: Score
    noise: dict[int, Powers]
    signal: dict[int, Powers]
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
    _noise: dict[int, list[Powers]] = field(default_factory=dict)
    _signal: dict[int, list[Powers]] = field(default_factory=dict)
    _right: list[Flags] = field(default_factory=list)
    _agrees: list[Flags] = field(default_factory=list)
    _largest: dict[int, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._outputs, self._task = OutputErrors(self.names), Classification()

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Adds the outputs of one batch."""
        self._outputs.add(batch, reference=reference, simulated=simulated)
        self._task.add(batch, reference=reference, simulated=simulated)
        count = batch.sample_count
        for i, (r, s) in enumerate(zip(reference, simulated, strict=True)):
            if isinstance(r, Tensor) and r.is_floating_point():
                self._add_powers(i, r, s, count)
        index = logits_index(reference, count)
        if index is not None:
            r, s = reference[index].float(), simulated[index].float()
            self._agrees.append(same_top1(r, s).cpu().numpy())
            if takes_labels(batch):
                assert batch.labels is not None
                self._right.append(is_in_top(s, batch.labels.to(s.device), 1).cpu().numpy())

    def _add_powers(self, i: int, r: Tensor, s: Tensor, count: int) -> None:
        rows = r.double().reshape(count, -1) if r.ndim and r.shape[0] == count else r.double().reshape(1, -1)
        error = s.double().reshape(rows.shape) - rows
        finite = torch.isfinite(error)
        # what is not finite is worth nothing: it counts as noise of the size of the signal, not as silence
        error = torch.where(finite, error, torch.where(torch.isfinite(rows), rows, 0.0))
        rows = torch.where(torch.isfinite(rows), rows, 0.0)
        self._noise.setdefault(i, []).append(error.square().sum(1).cpu().numpy())
        self._signal.setdefault(i, []).append(rows.square().sum(1).cpu().numpy())
        largest = self._largest.setdefault(i, [0.0, 0.0])
        largest[0] = max(largest[0], float(error.abs().amax()) if finite.all() else math.inf)
        largest[1] = max(largest[1], float(rows.abs().amax()))

    def scored(self) -> Scored:
        """All samples so far."""
        deltas = [d / top if top > 0.0 else (math.inf if d > 0.0 else 0.0) for d, top in self._largest.values()]
        return Scored(
            score=Score(self._outputs.records(), self._task.result()),
            noise={i: np.concatenate(parts) for i, parts in self._noise.items()},
            signal={i: np.concatenate(parts) for i, parts in self._signal.items()},
            is_right=np.concatenate(self._right) if self._right else None,
            agrees=np.concatenate(self._agrees) if self._agrees else None,
            relative_delta=max(deltas, default=0.0),
        )


def recovery(*, before: Scored, after: Scored) -> Recovery:
    """What `after` has over `before` on the same samples.

    Decibels are those of the output that had lost most before, and their 95 % interval is that of the ratio of the two
    noise sums, linearized over samples (delta method): the standard error of 10 log10(A / B) is
    10 / ln 10 * sqrt(sum_i (a_i / A - b_i / B)^2).
    """
    index = _worst_output(before)
    if index is None:
        return Recovery(math.nan, Interval(math.nan, math.nan), _pairs(before=before, after=after))
    a, b = before.noise[index], after.noise[index]
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


def _worst_output(scored: Scored) -> int | None:
    def sqnr(index: int) -> float:
        noise, signal = float(scored.noise[index].sum()), float(scored.signal[index].sum())
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
