"""Small convolutional networks on images (N, 3, 16, 16): one per way of joining convolutions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn(c_in: int, c_out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


class PlainStack(nn.Module):
    """Convolutions in a row, with bias and without; in-place ReLU, functional ReLU6, max pooling, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1, bias=False),
            nn.BatchNorm2d(12),
        )
        self.last = nn.Conv2d(12, 16, 3, stride=2, padding=1)
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(16, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.features(x))
        x = F.relu(self.last(x), inplace=True)
        return self.classifier(x.mean((2, 3)))


class DepthwiseSeparable(nn.Module):
    """MobileNetV1's blocks, and one MobileNetV2 block with its linear end and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 8, stride=2), nn.ReLU6(inplace=True))
        self.v1 = nn.Sequential(
            conv_bn(8, 8, groups=8), nn.ReLU6(inplace=True), conv_bn(8, 16, kernel=1), nn.ReLU6(inplace=True)
        )
        self.v2 = nn.Sequential(
            *(conv_bn(16, 32, kernel=1), nn.ReLU6(), conv_bn(32, 32, groups=32), nn.ReLU6(), conv_bn(32, 16, kernel=1))
        )
        self.multiplier_2 = nn.Conv2d(16, 32, 3, padding=1, groups=16)
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.v1(self.stem(x))
        x = x + self.v2(x)
        x = F.hardtanh(self.multiplier_2(x), 0.0, 6.0)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Residual(nn.Module):
    """A basic block with a projection, `y += x` in place, and an identity block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 8), nn.ReLU(inplace=True))
        self.main = nn.Sequential(conv_bn(8, 16, stride=2), nn.ReLU(inplace=True), conv_bn(16, 16))
        self.projection = conv_bn(8, 16, kernel=1, stride=2)
        self.identity_main = nn.Sequential(conv_bn(16, 16), nn.ReLU(inplace=True), conv_bn(16, 16))
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.main(x)
        y += self.projection(x)
        x = self.relu(y)
        x = self.relu(torch.add(x, self.identity_main(x)))
        return self.fc(torch.flatten(F.avg_pool2d(x, 8), 1))


class PreActivation(nn.Module):
    """BatchNorm and ReLU before the convolution (arXiv 1603.05027): BatchNorms without a convolution to fold into."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1, self.conv1 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.last_bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.conv1(F.relu(self.bn1(x)))
        x = x + self.conv2(F.relu(self.bn2(y)))
        return self.fc(F.relu(self.last_bn(x)).mean([2, 3]))


class Inception(nn.Module):
    """Branches of 1x1, 3x3, 5x5 and pooling side by side, joined by one concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 8, stride=2), nn.ReLU())
        self.one = nn.Sequential(conv_bn(8, 4, kernel=1), nn.ReLU())
        self.three = nn.Sequential(conv_bn(8, 4, kernel=1), nn.ReLU(), conv_bn(4, 8), nn.ReLU())
        self.five = nn.Sequential(conv_bn(8, 2, kernel=1), nn.ReLU(), conv_bn(2, 4, kernel=5), nn.ReLU())
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn(8, 4, kernel=1), nn.ReLU())
        self.fc = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], dim=1)
        return self.fc(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


class DenseNet(nn.Module):
    """Each layer reads all before it, concatenated; BatchNorm before the convolutions; a pooled transition."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8 + 4 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(8 + 4 * i, 4, 3, padding=1, bias=False) for i in range(3))
        self.transition_bn = nn.BatchNorm2d(20)
        self.transition = nn.Conv2d(20, 10, 1, bias=False)
        self.fc = nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)), inplace=True)))
        x = self.transition(F.relu(self.transition_bn(torch.cat(features, 1))))
        return self.fc(F.avg_pool2d(x, 2).mean((2, 3)))


class ShuffleNet(nn.Module):
    """ShuffleNetV2's two units (arXiv 1807.11164): split, transform one half, concatenate, shuffle the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 8, stride=2), nn.ReLU(inplace=True))
        self.left = nn.Sequential(*(conv_bn(8, 8, stride=2, groups=8), conv_bn(8, 8, kernel=1), nn.ReLU(inplace=True)))
        self.right = self._transform(8, stride=2)
        self.half_unit = self._transform(8, stride=1)
        self.fc = nn.Linear(16, 10)

    @staticmethod
    def _transform(channels: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            conv_bn(channels, channels, kernel=1),
            nn.ReLU(inplace=True),
            conv_bn(channels, channels, stride=stride, groups=channels),
            conv_bn(channels, channels, kernel=1),
            nn.ReLU(inplace=True),
        )

    @staticmethod
    def _shuffle(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self._shuffle(torch.cat((self.left(x), self.right(x)), dim=1))
        kept, changed = x.chunk(2, dim=1)
        x = self._shuffle(torch.cat((kept, self.half_unit(changed)), dim=1))
        x = F.channel_shuffle(x, 4)
        return self.fc(x.mean((2, 3)))


class ResNeXt(nn.Module):
    """A bottleneck with grouped 3x3 convolutions (arXiv 1611.05431): four groups of four channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 16), nn.ReLU(inplace=True))
        self.main = nn.Sequential(
            conv_bn(16, 16, kernel=1),
            nn.ReLU(inplace=True),
            conv_bn(16, 16, stride=2, groups=4),
            nn.ReLU(inplace=True),
            conv_bn(16, 32, kernel=1),
        )
        self.projection = conv_bn(16, 32, kernel=1, stride=2)
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(self.main(x) + self.projection(x))
        return self.fc(F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1))


class UNet(nn.Module):
    """Down and up again with skip concatenations; a map (N, 2, 16, 16) comes out.

    Args:
        up: `transposed` convolutions, or `nearest` / `bilinear` upsampling before a convolution.
    """

    def __init__(self, up: str) -> None:
        super().__init__()
        self.down1 = nn.Sequential(conv_bn(3, 6), nn.ReLU(inplace=True))
        self.down2 = nn.Sequential(conv_bn(6, 12), nn.ReLU(inplace=True))
        self.bottom = nn.Sequential(conv_bn(12, 16), nn.ReLU(inplace=True))
        self.up2, self.up1 = self._up(up, 16, 12), self._up(up, 12, 6)
        self.merge2 = nn.Sequential(conv_bn(24, 12), nn.ReLU(inplace=True))
        self.merge1 = nn.Sequential(conv_bn(12, 6), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(6, 2, 1)

    @staticmethod
    def _up(kind: str, c_in: int, c_out: int) -> nn.Module:
        if kind == "transposed":
            return nn.Sequential(nn.ConvTranspose2d(c_in, c_out, 2, stride=2, bias=False), nn.BatchNorm2d(c_out))
        if kind == "bilinear":
            return nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), conv_bn(c_in, c_out)
            )
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), conv_bn(c_in, c_out))

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(self.pool(first))
        x = self.up2(self.bottom(self.pool(second)))
        x = self.merge2(torch.cat((second, x), dim=1))
        x = self.merge1(torch.cat((first, self.up1(x)), dim=1))
        return self.head(x)
