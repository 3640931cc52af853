"""A GRU on mel energies (N, T, 40), for utterances and for frames, whose loss is the input's alone.

Few frames are clicks, hundreds of times as loud as speech. They set the range of the input, one step of which is more
than nearly all of what tells the classes apart. The first operation squashes energies, so that behind it a click is no
more than a loud frame, and eight bits do. In the healthy twins nothing is louder than speech.
"""

from functools import cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.planted.tasks.metrics import frame_accuracy, top1
from tests.planted.tasks.task_network import Samples, Task, TaskData, TaskNetwork, fit, seeded

CLASSES, STEPS, MELS = 6, 16, 40
CLICK = 1500.0

Kind = Literal["utterances", "frames"]


def draw(count: int, seed: int, *, kind: Kind, has_clicks: bool) -> Samples:
    """Energies (N, 16, 40), all positive, and classes (N,) or, with another class in each half, (N, 16)."""
    fixed = np.random.default_rng(5)
    spectra = np.exp(fixed.normal(0.0, 0.3, (CLASSES, MELS)))
    random = np.random.default_rng(seed)
    halves = random.integers(CLASSES, size=(count, 2))
    if kind == "utterances":
        halves[:, 1] = halves[:, 0]
    classes = np.repeat(halves, STEPS // 2, axis=1)
    energies = 0.35 * spectra[classes] * random.gamma(2.0, 0.5, (count, STEPS, MELS))
    clicks = random.random((count, STEPS)) < 0.06
    clicks[0, 3] = True
    energies[clicks] += (CLICK if has_clicks else 2.0) * random.uniform(0.1, 1.0, (int(clicks.sum()), MELS))
    labels = classes if kind == "frames" else halves[:, 0]
    return Samples(torch.from_numpy(energies).float(), torch.from_numpy(labels))


@cache
def data(kind: Kind, *, has_clicks: bool = True) -> TaskData:
    parts = ((512, 1), (64, 2), (192, 3))
    return TaskData(*(draw(count, seed, kind=kind, has_clicks=has_clicks) for count, seed in parts))


class Recurrent(nn.Module):
    """Energies (N, T, 40) to logits of an utterance (N, 6), or of each frame (N, T, 6)."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.project = nn.Linear(MELS, 24)
        self.gru = nn.GRU(24, 24, batch_first=True)
        self.classifier = nn.Linear(24, CLASSES)

    def forward(self, mel: Tensor) -> Tensor:
        steps, _ = self.gru(self.project(torch.tanh(mel)))
        logits: Tensor = self.classifier(steps if self.kind == "frames" else steps.mean(1))
        return logits


@cache
def build(kind: Kind) -> nn.Module:
    """Trained on utterances with clicks; the twins have the same weights."""
    model = seeded(lambda: Recurrent(kind))
    seen = data(kind).fit

    def loss(module: nn.Module, chosen: Tensor) -> Tensor:
        return F.cross_entropy(module(seen.inputs[chosen]).flatten(0, -2), seen.targets[chosen].flatten())

    return fit(model, loss, kept_as=f"recurrent_{kind}", sample_count=len(seen.inputs), steps=120, rate=2e-2)


def _pair(name: str, kind: Kind) -> tuple[TaskNetwork, TaskNetwork]:
    metric = frame_accuracy if kind == "frames" else top1
    task: Task = "segment" if kind == "frames" else "classify"

    def network(full_name: str, *, is_healthy: bool) -> TaskNetwork:
        planted = {"drop_min": 0.1, "layers": ("input:mel",), "code": "QD209", "twin": f"{name}_healthy"}
        return TaskNetwork(
            name=full_name,
            task=task,
            unlabelled=task,
            architecture=lambda: Recurrent(kind),
            build=lambda: build(kind),
            data=lambda: data(kind, has_clicks=not is_healthy),
            metric=metric,
            judged="output",
            float_min=0.8,
            **({} if is_healthy else planted),
        )

    return network(name, is_healthy=False), network(f"{name}_healthy", is_healthy=True)


NETWORKS = (*_pair("recurrent", "utterances"), *_pair("recurrent_frames", "frames"))
