"""Small networks with gates and smooth activations, on images (N, 3, 16, 16)."""

from torch import Tensor, nn
from torch.nn import functional as F

from tests.networks.convolutional import conv_bn


class SqueezeExcite(nn.Module):
    """Channels weighted by a gate that is computed from their means (arXiv 1709.01507)."""

    def __init__(self, channels: int, squeezed: int, inner: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.inner = inner
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.inner(self.reduce(self.pool(x)))))


class SqueezeExciteNet(nn.Module):
    """A residual block with a gate at its end, once with linear layers and a view, once with 1x1 convolutions."""

    def __init__(self, gate: type[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 8, stride=2), nn.ReLU(inplace=True))
        self.main = nn.Sequential(conv_bn(8, 8), SqueezeExcite(8, 2, nn.ReLU(inplace=True), gate()))
        self.body = nn.Sequential(conv_bn(8, 8), nn.ReLU())
        self.linear_gate = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8), gate())
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(self.main(x) + x)
        x = self.body(x)
        x = x * self.linear_gate(x.mean((2, 3))).view(-1, 8, 1, 1).expand_as(x)
        return self.fc(x.mean((2, 3)))


class EfficientNet(nn.Module):
    """MBConv (arXiv 1905.11946): expansion, depthwise 5x5, gate and projection, with SiLU; a skip around the second."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 8, stride=2), nn.SiLU(inplace=True))
        self.wide = self._mbconv(8, 12, 2)
        self.skip = self._mbconv(12, 12, 1)
        self.head = nn.Sequential(conv_bn(12, 24, kernel=1), nn.SiLU(inplace=True))
        self.classifier = nn.Sequential(nn.Dropout(0.2, inplace=True), nn.Linear(24, 10))

    @staticmethod
    def _mbconv(c_in: int, c_out: int, stride: int) -> nn.Sequential:
        hidden = 3 * c_in
        return nn.Sequential(
            *(conv_bn(c_in, hidden, kernel=1), nn.SiLU(inplace=True)),
            *(conv_bn(hidden, hidden, kernel=5, stride=stride, groups=hidden), nn.SiLU(inplace=True)),
            SqueezeExcite(hidden, 4, nn.SiLU(), nn.Sigmoid()),
            conv_bn(hidden, c_out, kernel=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.wide(self.stem(x))
        x = x + self.skip(x)
        return self.classifier(F.adaptive_avg_pool2d(self.head(x), 1).flatten(1))


class MobileNetV3(nn.Module):
    """The block of arXiv 1905.02244: hard-swish, once as a module and once written out, and a hard-sigmoid gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 8, stride=2), nn.Hardswish(inplace=True))
        self.expand = nn.Sequential(conv_bn(8, 24, kernel=1), nn.Hardswish(inplace=True))
        self.depthwise = conv_bn(24, 24, groups=24)
        self.gate = SqueezeExcite(24, 8, nn.ReLU(), nn.Hardsigmoid())
        self.project = conv_bn(24, 8, kernel=1)
        self.wide = nn.Linear(8, 16)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.depthwise(self.expand(x))
        y = y * F.relu6(y + 3.0) / 6.0
        x = x + self.project(self.gate(y))
        return self.fc(F.hardswish(self.wide(x.mean((2, 3)))))
