"""From gradients to new parameters: the optimizer, the falling learning rate, and what bounds parameters."""

import math

import torch
from torch import Tensor
from torch.optim import SGD, Adam, Optimizer

from qdiag.errors import SimulationError
from qdiag.train.network.graph import TrainingGraph
from qdiag.train.processes import ONE, Processes
from qdiag.train.settings import TrainingSettings
from qdiag.train.shift_adamax import ShiftAdaMax


class Updates:
    """The updates of one training.

    Args:
        step_count: steps of the whole training, over which the learning rate falls.
        processes: the gradients of all of them are added.

    Raises:
        SimulationError: there is no parameter to train.

    Attributes:
        optimizer: of torch, or `ShiftAdaMax`.
    """

    def __init__(
        self, graph: TrainingGraph, settings: TrainingSettings, step_count: int, processes: Processes = ONE
    ) -> None:
        self._graph, self._settings, self._step_count, self._processes = graph, settings, step_count, processes
        self._bounded = graph.binary_weights()
        decayed = graph.weights()
        inside = {id(value) for value in decayed}
        others = [p for p in graph.parameters.trained() if id(p) not in inside]
        others += [found.step for found in graph.ranges.learned()]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        if not decayed and not others:
            raise SimulationError("no parameter may move", hint="allow other `layers`")
        self.optimizer = _optimizer([group for group in groups if group["params"]], settings)

    def update(self, loss: Tensor, step: int) -> None:
        """One step, with the learning rate of step number `step`."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._processes.add_gradients(p for group in self.optimizer.param_groups for p in group["params"])
        self.optimizer.step()
        with torch.no_grad():
            for weight in self._bounded:  # arXiv 1602.02830, algorithm 1
                weight.clamp_(-1.0, 1.0)
        self._graph.settle()

    def learning_rate(self, step: int) -> float:
        """At the beginning, or on its way down half a cosine."""
        first = self._settings.learning_rate
        if self._settings.decay == "none":
            return first
        return first * 0.5 * (1.0 + math.cos(math.pi * step / self._step_count))


def _optimizer(groups: list[dict[str, object]], settings: TrainingSettings) -> Optimizer:
    if settings.optimizer == "adam":
        return Adam(groups, lr=settings.learning_rate)
    if settings.optimizer == "shift_adamax":
        return ShiftAdaMax(groups, lr=settings.learning_rate)
    return SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
