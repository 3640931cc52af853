"""Networks that torch.ao has prepared for training with fake quantizers."""

import copy
import warnings
from typing import Literal

import torch
from torch import Tensor, nn
from torch.ao.quantization import (
    DeQuantStub,
    FakeQuantize,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    QConfig,
    QuantStub,
    disable_observer,
    fuse_modules_qat,
    prepare_qat,
)

IMAGES = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Stubbed(nn.Module):
    """Two convolutions with BatchNorm, the first with ReLU, a plain one and a linear layer, between stubs."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = QuantStub(), DeQuantStub()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6)
        self.conv3, self.relu3 = nn.Conv2d(6, 4, 3), nn.ReLU()
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.bn1(self.conv1(self.quant(x))))
        x = self.relu3(self.conv3(self.bn2(self.conv2(x))))
        found: Tensor = self.dequant(self.fc(x.flatten(1)))
        return found


def qconfig(weights: Literal["per_channel", "per_tensor"], activation_max: int = 255) -> QConfig:
    """8 bits: weights [-128, 127] symmetric, activations affine."""
    observer = MovingAveragePerChannelMinMaxObserver if weights == "per_channel" else MovingAverageMinMaxObserver
    scheme = torch.per_channel_symmetric if weights == "per_channel" else torch.per_tensor_symmetric
    return QConfig(
        activation=FakeQuantize.with_args(
            observer=MovingAverageMinMaxObserver, quant_min=0, quant_max=activation_max, dtype=torch.quint8
        ),
        weight=FakeQuantize.with_args(
            observer=observer, quant_min=-128, quant_max=127, dtype=torch.qint8, qscheme=scheme
        ),
    )


def prepared(
    weights: Literal["per_channel", "per_tensor"] = "per_channel", *, seen: bool = True, activation_max: int = 255
) -> tuple[nn.Module, nn.Module]:
    """The network in float, and as torch.ao trains it after a few batches, its observers off: both in eval mode.

    Args:
        seen: fake quantizers have observed something.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao has moved to torchao, and is in use
        torch.manual_seed(0)
        net = Stubbed().train()
        for norm in (net.bn1, net.bn2):
            nn.init.uniform_(norm.weight, 0.5, 2.0)
            nn.init.normal_(norm.bias)
        trained = copy.deepcopy(net)
        fuse_modules_qat(trained, [["conv1", "bn1", "relu1"], ["conv2", "bn2"], ["conv3", "relu3"]], inplace=True)
        trained.qconfig = qconfig(weights, activation_max)  # type: ignore[assignment]
        prepare_qat(trained, inplace=True)
        if seen:
            with torch.no_grad():
                for part in IMAGES.split(8):
                    trained(part)
    return net.eval(), trained.eval().apply(disable_observer)
