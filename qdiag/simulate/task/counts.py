"""What quantization does to the task, counted sample by sample."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits
from qdiag.core.measures.task import Z_95, Interval, MetricScore, PairedCounts, TaskResult
from qdiag.errors import ConfigError, DataError, QdiagError
from qdiag.simulate.task.top_k import is_in_top, logits_index, same_top1, takes_labels

TOP_K = 5


@dataclass
class Classification:
    """Top-1 and top-5 of both networks; agreement of their top-1 where there are no labels.

    The logits are the first float output of shape (N, C) with more than one class. Counts stay on the device until
    `result` is called.

    Args:
        keeps_outcomes: also what became of each sample, at three bytes a sample until `result`.
    """

    keeps_outcomes: bool = False
    _counts: Tensor | None = None
    _samples: int = 0
    _classes: int = 0
    _is_labelled: bool = False
    _outcomes: list[Tensor] = field(default_factory=list)

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Counts one batch.

        Raises:
            DataError: a label is outside the classes that the network knows.
        """
        self._samples += batch.sample_count
        index = logits_index(reference, batch.sample_count)
        if index is None:
            return
        r, s = reference[index].float(), simulated[index].float()
        self._classes = int(r.shape[1])
        outcomes = [same_top1(r, s)]
        counts = [outcomes[0].sum()]
        if takes_labels(batch):
            assert batch.labels is not None
            self._is_labelled = True
            self._check(batch.labels)
            labels = batch.labels.to(r.device)
            outcomes += [is_in_top(r, labels, 1), is_in_top(s, labels, 1)]
            counts += _paired(*outcomes[1:])
            if self._classes > TOP_K:
                counts += _paired(is_in_top(r, labels, TOP_K), is_in_top(s, labels, TOP_K))
        new = torch.stack(counts)
        self._counts = new if self._counts is None else self._counts + new
        if self.keeps_outcomes:
            self._outcomes.append(torch.stack(outcomes))

    def _check(self, labels: Tensor) -> None:
        # labels come from a file and lie on the CPU: looking at them makes no GPU wait
        wrong = (labels < 0) | (labels >= self._classes)
        if labels.device.type == "cpu" and bool(wrong.any()):
            raise DataError(
                f"label {int(labels[wrong][0])} is outside 0 to {self._classes - 1}",
                hint=f"the network has {self._classes} classes, counted from 0",
            )

    def result(self, metrics: tuple[MetricScore, ...] = ()) -> TaskResult:
        """The counts so far."""
        if self._counts is None:
            return TaskResult(self._samples, metrics=metrics)
        counts = [int(c) for c in self._counts.tolist()]
        top1 = PairedCounts(*counts[1:5]) if self._is_labelled else None
        top5 = PairedCounts(*counts[5:9]) if len(counts) > 5 else None
        return TaskResult(self._samples, counts[0], top1, top5, metrics, self._sample_outcomes())

    def _sample_outcomes(self) -> SampleOutcomes | None:
        if not self._outcomes:
            return None
        columns = torch.cat(self._outcomes, dim=1).cpu()
        return SampleOutcomes(columns.shape[1], *(pack_bits(column) for column in columns.tolist()))


def _paired(reference: Tensor, simulated: Tensor) -> list[Tensor]:
    """Counts in the order of `PairedCounts`."""
    return [
        (reference & simulated).sum(),
        (reference & ~simulated).sum(),
        (~reference & simulated).sum(),
        (~reference & ~simulated).sum(),
    ]


class UserMetric:
    """A metric of the user's own, on both networks; higher is better.

    `function(outputs, labels)` returns scores per sample (N,), or one number for the batch. A class with `update` and
    `compute` (as in torchmetrics) is made twice, once for each network.

    Args:
        name: shown to the user. function: as above; `outputs` is the tensor, or the tuple of tensors where there are
            several.
    """

    def __init__(self, name: str, function: object) -> None:
        if not callable(function):
            raise ConfigError(f"{name} is not a function", at="--metric", hint="give ./file.py:function")
        self._name = name
        self._is_class = isinstance(function, type) and hasattr(function, "update") and hasattr(function, "compute")
        self._function: Callable[..., Any] = function
        self._meters: list[Any] = [function(), function()] if self._is_class else []
        self._sums = [0.0, 0.0]
        self._difference = [0.0, 0.0]
        self._samples = 0
        self._per_sample = True

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Scores one batch.

        Raises:
            ConfigError: the user's function failed or returned something else.
        """
        try:
            self._add(batch, reference, simulated)
        except QdiagError:
            raise
        except Exception as error:
            hint = "the data has no labels: labels is None" if batch.labels is None else None
            message = f"the metric failed: {type(error).__name__}: {error}"
            raise ConfigError(message, at=self._name, hint=hint) from error

    def _add(self, batch: Batch, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        outputs = [o[0] if len(o) == 1 else o for o in (reference, simulated)]
        if self._is_class:
            for meter, output in zip(self._meters, outputs, strict=True):
                meter.update(output, batch.labels)
            return
        count = batch.sample_count
        scores = [torch.as_tensor(self._function(o, batch.labels), dtype=torch.float64).cpu() for o in outputs]
        if any(s.shape not in ((), (count,)) for s in scores):
            raise ConfigError(
                f"the metric returned shape {tuple(scores[0].shape)}", at=self._name, hint="return (N,) or one number"
            )
        self._per_sample &= all(s.ndim == 1 for s in scores)
        means = [float(s.mean()) for s in scores]
        self._sums = [total + mean * count for total, mean in zip(self._sums, means, strict=True)]
        self._samples += count
        if self._per_sample:
            drop = scores[0] - scores[1]
            self._difference = [self._difference[0] + float(drop.sum()), self._difference[1] + float((drop**2).sum())]

    def score(self) -> MetricScore:
        """The metric over all samples."""
        if self._is_class:
            values = [float(meter.compute()) for meter in self._meters]
            return MetricScore(self._name, values[0], values[1])
        n = max(self._samples, 1)
        return MetricScore(self._name, self._sums[0] / n, self._sums[1] / n, self._interval())

    def _interval(self) -> Interval | None:
        """95 % interval of the mean difference, from its spread over samples."""
        n = self._samples
        if not self._per_sample or n < 2:
            return None
        mean = self._difference[0] / n
        variance = max(self._difference[1] / n - mean**2, 0.0) * n / (n - 1)
        margin = Z_95 * math.sqrt(variance / n)
        return Interval(mean - margin, mean + margin)
