"""An embedding network: rows of unit length at an output named `embedding`, and no classifier.

The fault: two channels between its convolutions are far larger than the others, with weights behind that undo it.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.planted.tasks.metrics import cosine
from tests.planted.tasks.patterns import KINDS, Patterns, Trunk, draw_patterns
from tests.planted.tasks.task_network import Samples, TaskData, TaskNetwork, fit, scale_channels, seeded

WIDTH = 32
CHANNELS, FACTOR = (2, 9), 200.0


class Embedder(nn.Module):
    """Images (N, 3, 16, 16) to embeddings (N, 32) of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.project = nn.Linear(96, WIDTH)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"embedding": F.normalize(self.project(self.trunk(x)), dim=1)}


@cache
def _fit_data() -> Patterns:
    return draw_patterns(640, 1)


@cache
def _trained() -> dict[str, Tensor]:
    model = seeded(Embedder)
    seen = _fit_data()
    directions = torch.nn.init.orthogonal_(torch.empty(KINDS, WIDTH), generator=torch.Generator().manual_seed(3))

    def loss(module: nn.Module, chosen: Tensor) -> Tensor:
        return F.cross_entropy(8.0 * module(seen.images[chosen])["embedding"] @ directions.T, seen.kinds[chosen])

    return fit(model, loss, kept_as="embedding", sample_count=len(seen.images), steps=150, rate=5e-3).state_dict()


@cache
def build(*, is_healthy: bool) -> nn.Module:
    model = seeded(Embedder)
    model.load_state_dict(_trained())
    model.eval().requires_grad_(False)
    if not is_healthy:
        assert isinstance(model, Embedder)
        scale_channels([model.trunk.body[1]], model.trunk.tail[0], CHANNELS, FACTOR)
    return model


@cache
def data() -> TaskData:
    """The target of an image is the enrolled embedding of its kind: the mean over other images, of length 1."""
    seen = _fit_data()
    with torch.no_grad():
        found = build(is_healthy=True)(seen.images)["embedding"]
    enrolled = F.normalize(torch.stack([found[seen.kinds == kind].mean(0) for kind in range(KINDS)]), dim=1)
    parts = (seen, draw_patterns(64, 2), draw_patterns(160, 3))
    return TaskData(*(Samples(part.images, enrolled[part.kinds]) for part in parts))


NETWORKS = (
    TaskNetwork(
        "embedding",
        "embed",
        Embedder,
        lambda: build(is_healthy=False),
        data,
        cosine,
        judged="embedding",
        is_told=True,
        float_min=0.75,
        drop_min=0.1,
        layers=("trunk.body.0",),
        code="QD205",
        twin="embedding_healthy",
    ),
    TaskNetwork(
        "embedding_healthy",
        "embed",
        Embedder,
        lambda: build(is_healthy=True),
        data,
        cosine,
        judged="embedding",
        is_told=True,
        float_min=0.75,
    ),
)
