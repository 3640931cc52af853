"""What a network is trained towards: labels, the float network's outputs, or a function of the user's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from qdiag.batches import Batch
from qdiag.errors import ConfigError, QdiagError
from qdiag.files.code_failure import code_failure
from qdiag.simulate.task.classes import check_labels, class_numbers
from qdiag.simulate.task.masks import MeanIoU, Positions, PositionShare, masks_of
from qdiag.simulate.task.numbers import PSNR, MeanError, errors_of
from qdiag.simulate.task.tasks import Tasks

Outputs = tuple[Any, ...]


@dataclass(frozen=True)
class TrainingLoss:
    """A loss, the mean over the samples of a batch.

    Attributes:
        name: in the words of the field.
        of: from the outputs, the batch, and the outputs of the float network, which it needs if `needs_float`.
    """

    name: str
    of: Callable[[Outputs, Batch, Outputs], Tensor]
    needs_float: bool = False


def choose_loss(tasks: Tasks, *, distill: bool = False, function: Callable[..., Any] | None = None) -> TrainingLoss:
    """The loss of a task: cross-entropy for classes, of samples or positions, and the mean squared error for numbers.

    Without labels, and for tasks whose labels are no targets of a plain loss, the float network's outputs are the
    targets: their distribution over the classes, or the outputs themselves.

    Args:
        distill: the float network's outputs are the targets even where there are labels.
        function: `function(outputs, targets)` of the user's, which gives one number or one for each sample.
    """
    if function is not None:
        return TrainingLoss("your own loss", _user(function))
    judged = tasks.judged
    if not distill and judged is not None and not judged.criterion.is_against_float:
        if tasks.is_labelled:
            return TrainingLoss("cross-entropy", lambda outputs, batch, _: _classes(tasks, outputs, batch))
        if isinstance(judged, MeanIoU | PositionShare):
            positions = judged.positions
            return TrainingLoss("cross-entropy", lambda outputs, batch, _: _positions(positions, outputs, batch))
        if isinstance(judged, MeanError | PSNR):
            index = judged.index
            return TrainingLoss(
                "mean squared error", lambda outputs, batch, _: errors_of(batch, outputs[index]).square().mean()
            )
    if tasks.logits is not None:
        return TrainingLoss("distillation", lambda outputs, _, teacher: _distilled(tasks, outputs, teacher), True)
    return TrainingLoss("distillation", lambda outputs, _, teacher: _alike(tasks, outputs, teacher), True)


def _classes(tasks: Tasks, outputs: Outputs, batch: Batch) -> Tensor:
    logits = tasks.logits_of(outputs)
    assert logits is not None
    labels = class_numbers(batch)
    check_labels(labels, logits.shape[1])
    return F.cross_entropy(logits, labels.to(logits.device).long())


def _positions(positions: Positions, outputs: Outputs, batch: Batch) -> Tensor:
    """Over the positions that count."""
    logits = outputs[positions.index].float().movedim(positions.axis, -1)
    masks = masks_of(batch, positions.answers(tuple(_detached(o) for o in outputs)), positions)
    counted, rows = masks >= 0, logits.reshape(*masks.shape, logits.shape[-1])
    if positions.classes == 1:
        return F.binary_cross_entropy_with_logits(rows[..., 0][counted] - positions.threshold, masks[counted].float())
    return F.cross_entropy(rows[counted], masks[counted])


def _distilled(tasks: Tasks, outputs: Outputs, teacher: Outputs) -> Tensor:
    """Kullback-Leibler divergence from the float network's classes (Hinton et al., arXiv 1503.02531, temperature 1)."""
    logits, target = tasks.logits_of(outputs), tasks.logits_of(teacher)
    assert logits is not None and target is not None
    return F.kl_div(logits.log_softmax(1), target.log_softmax(1), reduction="batchmean", log_target=True)


def _alike(tasks: Tasks, outputs: Outputs, teacher: Outputs) -> Tensor:
    """Power of the difference over the power of the float network's output, the mean over the outputs."""
    indices = range(len(outputs)) if tasks.output is None else [tasks.output]
    found = []
    for index in indices:
        own, target = outputs[index], teacher[index]
        if isinstance(own, Tensor) and own.is_floating_point():
            power = target.double().square().mean().clamp_min(torch.finfo(torch.float32).tiny)
            found.append((own.double() - target.double()).square().mean() / power)
    if not found:
        raise ConfigError("no output is a float tensor", hint="there is nothing to train towards")
    return torch.stack(found).mean()


def _user(function: Callable[..., Any]) -> Callable[[Outputs, Batch, Outputs], Tensor]:
    def of(outputs: Outputs, batch: Batch, teacher: Outputs) -> Tensor:
        del teacher
        device = next((value.device for value in outputs if isinstance(value, Tensor)), torch.device("cpu"))
        targets = pytree.tree_map_only(Tensor, lambda x: x.to(device), batch.labels)
        try:
            value = function(outputs[0] if len(outputs) == 1 else outputs, targets)
        except QdiagError:
            raise
        except Exception as error:
            hint = "the data has no labels: targets is None" if batch.labels is None else None
            raise ConfigError(f"the loss failed: {code_failure(error)}", at="`loss`", hint=hint) from error
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise ConfigError(
                f"the loss returned {type(value).__name__}", at="`loss`", hint="return a tensor, one number or (N,)"
            )
        return value.mean()

    return of


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
