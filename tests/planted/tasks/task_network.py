"""What a planted network of a task is: a network, its data, how it is judged, and what must be found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from qdiag.batches import Batch

Task = Literal["classify", "segment", "detect", "regress", "embed", "none"]
WEIGHTS = Path(__file__).parent / "weights"

Scores = npt.NDArray[np.float64]
Metric = Callable[[Any, Any], Scores]
"""From the outputs as the network returns them (one tensor, or a tuple) and the targets: a score per sample, (N,);
higher is better."""


@dataclass(frozen=True)
class Samples:
    """Inputs (N, ...) and what is expected for each.

    Attributes:
        targets: as a user would hold them: class numbers (N,), masks (N, H, W), floats (N, K), or for each image a
            dictionary of `boxes` (M, 4) and `labels` (M,).
    """

    inputs: Tensor
    targets: Any

    def batches(self, batch_size: int = 64, *, labelled: bool = True) -> list[Batch]:
        """The samples in batches, with their targets as a user would hold them, or without."""
        starts = range(0, len(self.inputs), batch_size)
        return [
            Batch((self.inputs[i : i + batch_size],), labels=self.targets[i : i + batch_size] if labelled else None)
            for i in starts
        ]


@dataclass(frozen=True)
class TaskData:
    """To train on, to calibrate on, to measure on."""

    fit: Samples
    calibration: Samples
    measured: Samples


@dataclass(frozen=True)
class TaskNetwork:
    """A network of one task.

    Attributes:
        architecture: makes the network without its weights. build: makes it with them; the same module each time it
            is called, which nobody may change.
        data: makes the data. metric: the plain metric of the task.
        judged: name of the output that a user would look at.
        is_told: targets and names do not tell the task and the output, the user has to.
        unlabelled: task without targets, at the same output; `none` where nothing tells it.
        float_min: the float network scores this much at least.
        drop_min: int8 costs this much at least; None for a healthy twin. drop_max: a healthy twin loses at most this.
        layers: where the fault is. code: what a detector should call it; None without such a detector.
        twin: name of the healthy twin.
    """

    name: str
    task: Task
    architecture: Callable[[], nn.Module]
    build: Callable[[], nn.Module]
    data: Callable[[], TaskData]
    metric: Metric
    judged: str
    float_min: float
    is_told: bool = False
    unlabelled: Task = "none"
    drop_min: float | None = None
    drop_max: float = 0.02
    layers: tuple[str, ...] = ()
    code: str | None = None
    twin: str | None = None
    scheme: str = "int8"

    @property
    def is_healthy(self) -> bool:
        return self.drop_min is None


def fit(
    model: nn.Module,
    loss_of: Callable[[nn.Module, Tensor], Tensor],
    *,
    kept_as: str,
    sample_count: int,
    steps: int,
    batch_size: int = 32,
    rate: float = 3e-3,
) -> nn.Module:
    """The model with its weights in `weights/`; where it has none there, it is trained and they are written.

    Processors add float sums in different orders, so that a training ends elsewhere on each; the tests judge one
    network. To train a network anew, delete its file.

    Args:
        loss_of: of the model and the numbers of the samples in a batch.
        kept_as: name of the file, without its suffix.
    """
    path = WEIGHTS / f"{kept_as}.npz"
    if not path.exists():
        train(model, loss_of, sample_count=sample_count, steps=steps, batch_size=batch_size, rate=rate)
        path.parent.mkdir(exist_ok=True)
        np.savez(path, **{name: value.numpy() for name, value in model.state_dict().items()})
    with np.load(path) as weights:
        model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    return model.eval().requires_grad_(False)


def train(
    model: nn.Module,
    loss_of: Callable[[nn.Module, Tensor], Tensor],
    *,
    sample_count: int,
    steps: int,
    batch_size: int = 32,
    rate: float = 3e-3,
) -> None:
    """Trains with Adam and a rate that falls to nothing along a cosine, on one thread.

    Args:
        loss_of: of the model and the numbers of the samples in a batch.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        generator = torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(model.parameters(), rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        model.train()
        for _ in range(steps):
            chosen = torch.randint(sample_count, (batch_size,), generator=generator)
            optimizer.zero_grad()
            with torch.enable_grad():
                loss_of(model, chosen).backward()
            optimizer.step()
            schedule.step()
    finally:
        torch.set_num_threads(threads)


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A module whose initial weights are always the same; the caller's random numbers go on as they would have."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def scale_channels(before: Sequence[nn.Module], after: nn.Module, channels: Sequence[int], factor: float) -> None:
    """Multiplies channels and divides the weights that read them: in float the network computes what it did.

    Args:
        before: modules whose first axis of every parameter is the channel; nothing but ReLU, pooling or upsampling may
            stand between them and `after`.
    """
    with torch.no_grad():
        for module in before:
            for tensor in module.parameters():
                tensor[list(channels)] *= factor
        after.weight[:, list(channels)] /= factor
