"""ResNets for ImageNet (arXiv 1512.03385, table 1), parameter names as in torchvision.

The bottleneck has its stride in the 3x3 convolution, as torchvision's weights do, not in the first 1x1 as in the paper.
"""

from torch import Tensor, nn

from qdiag.zoo.checks import check_count


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, c_in: int, channels: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        z: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return z


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; four times as many channels go out."""

    expansion = 4

    def __init__(self, c_in: int, channels: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        z: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return z


class ResNet(nn.Module):
    """Images (N, 3, H, W) to logits (N, classes)."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], counts: tuple[int, ...], classes: int) -> None:
        super().__init__()
        check_count("classes", classes)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(block, 64, 64, counts[0], 1)
        self.layer2 = _stage(block, 64 * block.expansion, 128, counts[1], 2)
        self.layer3 = _stage(block, 128 * block.expansion, 256, counts[2], 2)
        self.layer4 = _stage(block, 256 * block.expansion, 512, counts[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512 * block.expansion, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        y: Tensor = self.fc(self.avgpool(x).flatten(1))
        return y


def _stage(
    block: type[BasicBlock] | type[Bottleneck], c_in: int, channels: int, count: int, stride: int
) -> nn.Sequential:
    c_out = channels * block.expansion
    downsample: nn.Module | None = None
    if stride != 1 or c_in != c_out:
        downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
    rest = [block(c_out, channels, 1, None) for _ in range(count - 1)]
    return nn.Sequential(block(c_in, channels, stride, downsample), *rest)


def resnet18(classes: int = 1000) -> nn.Module:
    """ResNet-18 without weights.

    Raises:
        ConfigError: fewer than one class.
    """
    return ResNet(BasicBlock, (2, 2, 2, 2), classes)


def resnet34(classes: int = 1000) -> nn.Module:
    """ResNet-34 without weights.

    Raises:
        ConfigError: fewer than one class.
    """
    return ResNet(BasicBlock, (3, 4, 6, 3), classes)


def resnet50(classes: int = 1000) -> nn.Module:
    """ResNet-50 without weights.

    Raises:
        ConfigError: fewer than one class.
    """
    return ResNet(Bottleneck, (3, 4, 6, 3), classes)
