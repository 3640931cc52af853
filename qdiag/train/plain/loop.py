"""The loop: epochs of updates, with numbers that the seed decides alone."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

from qdiag.errors import DivergedError
from qdiag.simulate.session import Session
from qdiag.train.plain.pixels import Pixels
from qdiag.train.plain.settings import PlainSettings

Penalty = Callable[[nn.Module], Tensor]
"""What is added to the loss of every batch, a scalar."""
Selection = Callable[[str, nn.Parameter], bool]


@dataclass(frozen=True)
class PlainTraining:
    """What came out of a training beside the network.

    Attributes:
        losses: mean cross-entropy over the samples of each epoch, each at the time of its step.
        step_seconds: of one update, the median over the second half of them: the first ones take longer.
        steps: updates of an epoch.
    """

    losses: tuple[float, ...]
    step_seconds: float
    steps: int


@dataclass(frozen=True)
class PlainLoop:
    """One training.

    Attributes:
        epochs: passes over the samples. steps_at_most: after so many updates it ends, whatever the epochs; for timing.
        penalty: see `Penalty`. undecayed: parameters, by name, that do not decay although they are weights.
    """

    session: Session
    settings: PlainSettings
    epochs: int
    seed: int
    name: str = "train"
    penalty: Penalty | None = None
    undecayed: Selection | None = None
    steps_at_most: int | None = None

    def run(self, model: nn.Module, pixels: Pixels) -> PlainTraining:
        """Trains the model in place, and leaves it in evaluation mode on the CPU.

        Raises:
            DivergedError: the loss, a weight or a running statistic is not finite.
        """
        size = min(self.settings.batch_size, len(pixels))
        steps = max(1, len(pixels) // size)
        device = self.session.device
        optimizer = self._optimizer(model.to(device).train())
        generator = torch.Generator().manual_seed(self.seed)
        losses, step, times = list[float](), 0, [time.perf_counter()]
        for epoch in range(self.epochs):
            total, count = torch.zeros((), dtype=torch.float64), 0
            words = f", epoch {epoch + 1} of {self.epochs}" + (f" (loss {losses[-1]:.3g})" if losses else "")
            self.session.progress.start(f"{self.name}{words}", steps * size)
            for inputs, labels in pixels.batches(size, generator):
                loss = self._update(
                    model, optimizer, inputs.to(device), labels.to(device), step / (self.epochs * steps)
                )
                total += loss.double().cpu() * len(labels)
                count += len(labels)
                self.session.progress.advance(len(labels))
                step += 1
                times.append(time.perf_counter())
                if step == self.steps_at_most:
                    break
            self.session.progress.finish()
            losses.append(float(total) / count)
            if not math.isfinite(losses[-1]):
                raise _diverged(f"the loss is {losses[-1]} in epoch {epoch + 1}")
            if step == self.steps_at_most:
                break
        model.cpu().eval()
        for name, value in model.state_dict().items():
            if not bool(torch.isfinite(value).all()):
                raise _diverged(f"{name} is not finite after {step} steps")
        late = [after - before for before, after in pairwise(times[step // 2 :])]
        return PlainTraining(tuple(losses), median(late), steps)

    def _update(self, model: nn.Module, optimizer: SGD, inputs: Tensor, labels: Tensor, done: float) -> Tensor:
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate(done)
        with torch.enable_grad():
            loss = F.cross_entropy(model(inputs), labels)
            total = loss if self.penalty is None else loss + self.penalty(model)
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    def learning_rate(self, done: float) -> float:
        """After a share `done` of all steps."""
        settings = self.settings
        if done < settings.warm_up:
            return settings.learning_rate * (done + 1e-3) / (settings.warm_up + 1e-3)
        rest = (done - settings.warm_up) / (1.0 - settings.warm_up)
        return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * rest))

    def _optimizer(self, model: nn.Module) -> SGD:
        settings, decayed, others = self.settings, list[nn.Parameter](), list[nn.Parameter]()
        for name, parameter in model.named_parameters():
            decays = parameter.ndim > 1 and not (self.undecayed is not None and self.undecayed(name, parameter))
            (decayed if decays else others).append(parameter)
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        return SGD(groups, settings.learning_rate, settings.momentum, nesterov=settings.nesterov)


def _diverged(what: str) -> DivergedError:
    return DivergedError(f"the training diverged: {what}", hint="use a smaller learning rate")
