"""Small networks that are awkward to capture: sharing, aliasing, dictionaries, constants, nothing to quantize."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.networks.convolutional import conv_bn


class SharedModules(nn.Module):
    """A convolution with BatchNorm, an activation, a linear layer, each called twice; one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 8)
        self.block = conv_bn(8, 8)
        self.relu = nn.ReLU(inplace=True)
        self.mix = nn.Linear(8, 8)
        self.tied = nn.Linear(8, 8)
        self.tied.weight = self.mix.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        x = self.relu(self.block(x))
        x = self.relu(self.block(F.max_pool2d(x, 2))).mean((2, 3))
        y: Tensor = self.tied(self.mix(torch.relu(self.mix(x))))
        return y


class DictionaryNet(nn.Module):
    """A dictionary {"image": (N, 3, 16, 16), "extra": (N, 4)} goes in, a dictionary with a nested tuple comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(conv_bn(3, 8, stride=2), nn.ReLU(inplace=True), conv_bn(8, 8), nn.ReLU(inplace=True))
        self.extra = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
        self.classes = nn.Linear(16, 10)
        self.boxes = nn.Conv2d(8, 4, 1)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, object]:
        features = self.image(batch["image"])
        joined = torch.cat([features.mean((2, 3)), self.extra(batch["extra"])], dim=1)
        return {"logits": self.classes(joined), "maps": (self.boxes(features), features)}


class TwoInputs(nn.Module):
    """An image by position and a mask (N, 1, 16, 16) by keyword; a tuple comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv_bn(3, 8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor, *, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.conv(x)) * mask
        pooled = x.sum((2, 3)) / mask.sum((2, 3)).clamp(min=1.0)
        return self.fc(pooled), x


class Aliasing(nn.Module):
    """Views written in place: a slice added to, a slice assigned, a narrowed view scaled, `out += x`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv_bn(3, 8)
        self.next = conv_bn(8, 8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        head = x[:, :4]
        head.add_(1.0)
        x[:, 4:6] = x[:, :2] * 0.5
        first, second = x[:, :4], x.narrow(1, 4, 4)
        second.mul_(0.25)
        y = self.next(torch.cat((second, first), dim=1))
        y += x
        y.relu_()
        return self.fc(y.mean((2, 3)))


class BatchNormAfterLinear(nn.Module):
    """Vectors (N, 12): linear layers with BatchNorm1d, dropout, and the activations without a clamp."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Linear(12, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(inplace=True), nn.Dropout(0.3)),
            *(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.LeakyReLU(0.1), nn.Linear(16, 16), nn.PReLU(), nn.ELU()),
        )
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.fc(self.body(x)), dim=-1)


class Signals(nn.Module):
    """Signals (N, 2, 32): one-dimensional convolutions, circular padding, dilation, group and instance norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(2, 8, 5, padding=2, padding_mode="circular")
        self.bn1 = nn.BatchNorm1d(8)
        self.conv2 = nn.Conv1d(8, 8, 3, padding=2, dilation=2)
        self.group = nn.GroupNorm(2, 8)
        self.instance = nn.InstanceNorm1d(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.group(self.conv2(x))) + torch.sigmoid(self.instance(x))
        return self.fc(x.amax(-1))


class WithoutParameters(nn.Module):
    """Pooling and arithmetic only."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2).clamp(-1.0, 1.0) * 0.5 + 0.25


class BufferConstant(nn.Module):
    """A buffer taken away from the input, a parameter that scales, and a constant made in `forward`."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1))
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, 0.5]).view(1, 3, 1, 1))
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) * self.scale
        x = self.conv(x) + torch.ones(1, 8, 1, 1)
        return self.fc(F.relu(x).mean((2, 3)))


class PassesThrough(nn.Module):
    """Gives back its input beside two views of one result, and the class numbers, which are integers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 10, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        y = self.conv(x).relu()
        logits = y.mean((2, 3))
        return logits, y.flatten(1), x, logits.argmax(1)
