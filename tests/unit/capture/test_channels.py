"""Where the channels lie is followed through the graph; what loses them falls back to the rank."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.core.graph import Layer
from tests.cases import open_test_case


class Signals(nn.Module):
    """Three axes, channels second: not tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.conv(x)) * 2.0


class Patches(nn.Module):
    """A convolution's map as tokens: channels move from the second axis to the last, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 5, 2, stride=2), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = F.gelu(self.conv(x)).flatten(2).transpose(1, 2)
        tokens = tokens + F.gelu(self.fc(tokens))
        maps = tokens.transpose(1, 2).unflatten(2, (4, 4))
        return F.silu(maps * 0.5)


class Windows(nn.Module):
    """N, H, W, C with a norm, an elementwise operation and a mean over the grid."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 5, 2, stride=2), nn.LayerNorm(5), nn.Linear(5, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x).permute(0, 2, 3, 1))
        x = F.gelu(self.fc(x)) + 1.0
        return torch.sigmoid(x.mean((1, 2), keepdim=True)) * x


@pytest.mark.parametrize(
    ("model", "shape", "widths"),
    [
        (Signals, (2, 9), {"input:x": 2, "conv": 5, "gelu": 5, "mul": 5}),
        (Patches, (3, 8, 8), {"input:x": 3, "conv": 5, "gelu": 5, "fc": 5, "gelu#2": 5, "add": 5, "mul": 5, "silu": 5}),
        (Windows, (3, 8, 8), {"conv": 5, "norm": 5, "fc": 7, "gelu": 7, "add": 7, "pool": 7, "sigmoid": 7, "mul": 7}),
    ],
)
def test_every_layer_has_the_ranges_of_its_channels(
    model: type[nn.Module], shape: tuple[int, ...], widths: dict[str, int]
) -> None:
    torch.manual_seed(0)
    case = open_test_case(model().eval(), torch.randn(6, *shape))
    found = {layer.name: case.observations[layer.name].channels for layer in case.network.graph.layers}
    assert set(widths) <= set(found)
    for name, width in widths.items():
        channels = found[name]
        assert channels is not None and len(channels.min) == width, name


@pytest.mark.parametrize(
    ("kind", "known", "axes"),
    [
        ("linear", None, {1: None, 2: 1, 3: 2, 4: 3}),
        ("conv", None, {3: 1, 4: 1, 5: 1}),
        ("conv", True, {3: 1, 4: 1}),
        ("gelu", None, {1: None, 2: 1, 3: 2, 4: 1}),
        ("gelu", True, {2: 1, 3: 2, 4: 3}),
        ("gelu", False, {2: 1, 3: 1, 4: 1}),
    ],
)
def test_the_rule(kind: str, known: bool | None, axes: dict[int, int | None]) -> None:
    layer = Layer("x", kind, "own", "", (), ("x",), is_channels_last=known)
    assert {ndim: layer.channel_axis(ndim) for ndim in axes} == axes
