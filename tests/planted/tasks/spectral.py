"""A classifier of tones whose front end, power and logarithm, is part of the network.

Every signal holds one loud tone that says nothing and three faint ones that tell its class. Eight bits for the power
leave nothing of the faint ones, which the logarithm would have brought to the same height as the loud one. In the
healthy twin the same features are computed before the network.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.planted.tasks.metrics import top1
from tests.planted.tasks.task_network import Samples, TaskData, TaskNetwork, fit, seeded

CLASSES, LENGTH, WINDOW = 8, 512, 64
BANDS = WINDOW // 2
FLOOR = 1e-4


def draw(count: int, seed: int) -> Samples:
    """Signals (N, 1, 512) and their classes (N,)."""
    fixed = np.random.default_rng(9)
    tones = np.stack([fixed.choice(np.arange(3, BANDS - 2), 3, replace=False) for _ in range(CLASSES)])
    random = np.random.default_rng(seed)
    classes = random.integers(CLASSES, size=count)
    time = np.arange(LENGTH) / WINDOW

    def sines(bands: np.ndarray) -> np.ndarray:
        phases = random.uniform(0, 2 * np.pi, bands.shape)
        return np.sin(2 * np.pi * (bands[..., None] + 0.25) * time + phases[..., None])

    signals = random.uniform(0.7, 1.0, (count, 1)) * sines(random.integers(3, BANDS - 2, count))
    faint = random.uniform(0.02, 0.04, (count, 3, 1)) * sines(tones[classes])
    signals = signals + faint.sum(1) + random.normal(0.0, 0.01, (count, LENGTH))
    return Samples(torch.from_numpy(signals[:, None]).float(), torch.from_numpy(classes))


class FrontEnd(nn.Module):
    """Signals (N, 1, 512) to the logarithm of the power in 32 bands (N, 32, 15), from windows of 64."""

    def __init__(self) -> None:
        super().__init__()
        time, bands = torch.arange(WINDOW), torch.arange(BANDS).unsqueeze(1)
        window = torch.hann_window(WINDOW) / WINDOW * 4
        angles = 2 * torch.pi * bands * time / WINDOW
        self.register_buffer("cosines", (window * angles.cos()).unsqueeze(1))
        self.register_buffer("sines", (window * angles.sin()).unsqueeze(1))

    def forward(self, x: Tensor) -> Tensor:
        real = F.conv1d(x, self.cosines, stride=WINDOW // 2)
        imaginary = F.conv1d(x, self.sines, stride=WINDOW // 2)
        return torch.log(real.square() + imaginary.square() + FLOOR)


class Spectral(nn.Module):
    """Signals (N, 1, 512), or with `has_front_end` false features (N, 32, 15), to logits (N, 8)."""

    def __init__(self, *, has_front_end: bool) -> None:
        super().__init__()
        self.front_end = FrontEnd() if has_front_end else nn.Identity()
        self.mix = nn.Conv1d(BANDS, 32, 1)
        self.fc = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        features = self.front_end(x)
        logits: Tensor = self.fc(F.relu(self.mix(features)).mean(2))
        return logits


@cache
def data(*, has_front_end: bool) -> TaskData:
    parts = [draw(count, seed) for count, seed in ((512, 1), (64, 2), (240, 3))]
    if has_front_end:
        return TaskData(*parts)
    front_end = FrontEnd()
    return TaskData(*(Samples(front_end(part.inputs), part.targets) for part in parts))


@cache
def _trained() -> dict[str, Tensor]:
    seen = data(has_front_end=False).fit

    def loss(module: nn.Module, chosen: Tensor) -> Tensor:
        return F.cross_entropy(module(near_zero[chosen]), seen.targets[chosen])

    model = seeded(lambda: Spectral(has_front_end=False))
    centre, spread = float(seen.inputs.mean()), float(seen.inputs.std())
    near_zero = (seen.inputs - centre) / spread
    state = fit(model, loss, kept_as="spectral", sample_count=len(seen.inputs), steps=200, rate=1e-2).state_dict()
    state["mix.weight"] = state["mix.weight"] / spread
    state["mix.bias"] = state["mix.bias"] - centre * state["mix.weight"].sum((1, 2))
    return state


@cache
def build(*, has_front_end: bool) -> nn.Module:
    model = Spectral(has_front_end=has_front_end)
    model.load_state_dict(_trained(), strict=not has_front_end)
    return model.eval().requires_grad_(False)


def _network(name: str, *, has_front_end: bool, **more: object) -> TaskNetwork:
    return TaskNetwork(
        name=name,
        task="classify",
        unlabelled="classify",
        architecture=lambda: Spectral(has_front_end=has_front_end),
        build=lambda: build(has_front_end=has_front_end),
        data=lambda: data(has_front_end=has_front_end),
        metric=top1,
        judged="output",
        float_min=0.8,
        **more,
    )


NETWORKS = (
    _network(
        "spectral", has_front_end=True, drop_min=0.1, layers=("front_end.log",), code="QD207", twin="spectral_healthy"
    ),
    _network("spectral_healthy", has_front_end=False),
)
