"""A small network for digits, trained with a few steps, and what training it needs."""

import copy
from functools import cache

import torch
from torch import Tensor, nn

from qdiag.config import load_scheme
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.selectors import with_names
from qdiag.train.network.graph import TrainingGraph
from qdiag.train.settings import TrainingSettings
from tests.cases import SESSION, open_test_case


def small(seed: int = 0) -> nn.Sequential:
    """Folded BatchNorms, a depthwise convolution, clamps of both kinds; images (N, 1, 8, 8), 4 classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            *(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU6()),
            *(nn.Conv2d(6, 6, 3, groups=6), nn.BatchNorm2d(6), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)),
        )
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 2.0)
                nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
                nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
    return net.eval()


def stripes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 8, 8) of four kinds of stripes in noise, and their kinds (N,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    axis = torch.arange(8.0)
    waves = torch.stack([(axis * 0.8).sin().expand(8, 8), (axis * 2.2).sin().expand(8, 8)])
    patterns = torch.cat([waves, waves.transpose(1, 2)])
    images = patterns[labels].unsqueeze(1) + 0.7 * torch.randn(count, 1, 8, 8, generator=generator)
    return images, labels


@cache
def _learned() -> nn.Sequential:
    net = small().train()
    x, y = stripes(256, 1)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(4):
        for part in torch.arange(256).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[part]), y[part]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return net.eval()


def learned() -> nn.Sequential:
    """The small network, trained in float to tell stripes apart; a copy."""
    return copy.deepcopy(_learned())


def all_names(model: nn.Module) -> frozenset[str]:
    """Of its parameters and buffers."""
    return frozenset([*dict(model.named_parameters(remove_duplicate=False)), *dict(model.named_buffers())])


@cache
def _captured(is_learned: bool, count: int) -> Case:
    return open_test_case(learned() if is_learned else small(), stripes(count, 2), "int8", measured=stripes(64, 3))


def stripe_case(scheme: str = "tf-uint8", *overrides: str, is_learned: bool = False, count: int = 16) -> Case:
    """The small network, or the learned one, calibrated on stripes and measured on others; captured once."""
    case = _captured(is_learned, count)
    return with_scheme(SESSION, case, with_names(load_scheme(scheme, overrides), case.network.graph))


def graph_of(case: Case, model: nn.Module, **settings: object) -> TrainingGraph:
    """In which everything may move."""
    return TrainingGraph(case, TrainingSettings(**settings), all_names(model))  # type: ignore[arg-type]
