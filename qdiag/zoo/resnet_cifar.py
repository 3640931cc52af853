"""ResNets for 32 x 32 images (arXiv 1512.03385, section 4.2): three stages of 16, 32 and 64 channels."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.errors import ConfigError
from qdiag.zoo.checks import check_choice, check_count

Shortcut = Literal["A", "B"]


class ZeroPadShortcut(nn.Module):
    """Shortcut A: every second pixel, and channels of zeros on both sides; no parameters."""

    def __init__(self, extra_channels: int) -> None:
        super().__init__()
        self.each_side = extra_channels // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.each_side, self.each_side))


def _shortcut(c_in: int, c_out: int, stride: int, kind: Shortcut) -> nn.Module:
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    if kind == "A":
        return ZeroPadShortcut(c_out - c_in)
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


class CifarBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, c_in: int, c_out: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.shortcut = _shortcut(c_in, c_out, stride, shortcut)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        z: Tensor = self.relu2(y + self.shortcut(x))
        return z


class CifarResNet(nn.Module):
    """Images (N, 3, 32, 32) to logits (N, classes)."""

    def __init__(self, depth: int, classes: int, shortcut: Shortcut) -> None:
        super().__init__()
        check_count("depth", depth)
        check_count("classes", classes)
        check_choice("shortcut", shortcut, ("A", "B"))
        if depth < 8 or depth % 6 != 2:
            nearest = max(8, 6 * round((depth - 2) / 6) + 2)
            raise ConfigError(f"{depth} is not 6n + 2", at="depth", hint=f"the nearest such depth is {nearest}")
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        self.layer1 = self._stage((depth - 2) // 6, 16, 16, 1, shortcut)
        self.layer2 = self._stage((depth - 2) // 6, 16, 32, 2, shortcut)
        self.layer3 = self._stage((depth - 2) // 6, 32, 64, 2, shortcut)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _stage(count: int, c_in: int, c_out: int, stride: int, shortcut: Shortcut) -> nn.Sequential:
        rest = [CifarBlock(c_out, c_out, 1, shortcut) for _ in range(count - 1)]
        return nn.Sequential(CifarBlock(c_in, c_out, stride, shortcut), *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.relu1(self.bn1(self.conv1(x))))))
        y: Tensor = self.linear(self.pool(x).flatten(1))
        return y


def resnet_cifar(depth: int = 20, classes: int = 10, shortcut: Shortcut = "A") -> nn.Module:
    """A CIFAR ResNet without weights.

    Args:
        depth: layers with weights, 6n + 2: 20, 32, 44, 56, 110 in the paper.
        classes: number of logits.
        shortcut: `A`, zeros for the new channels, or `B`, a 1x1 convolution with BatchNorm, where the shape changes.

    Raises:
        ConfigError: a depth that is not 6n + 2, or another value out of range.
    """
    return CifarResNet(depth, classes, shortcut)
