"""MobileNetV2 (arXiv 1801.04381): inverted residuals with linear bottlenecks, parameter names as in torchvision."""

from torch import Tensor, nn

from qdiag.zoo.checks import check_count, check_positive

# (expansion, channels, repeats, stride): table 2 of the paper
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def _round_to_8(channels: float) -> int:
    """Nearest multiple of 8 that loses no more than a tenth, the rule of the reference implementation."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _conv_bn_relu6(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection; a skip where the shapes allow one."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = c_in * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_conv_bn_relu6(c_in, hidden, 1)]
        layers += [
            _conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        ]
        self.conv = nn.Sequential(*layers)
        self.has_skip = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.has_skip else y


class MobileNetV2(nn.Module):
    """Images (N, 3, H, W) to logits (N, classes)."""

    def __init__(self, width: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        check_positive("width", width)
        check_count("classes", classes)
        channels = _round_to_8(32 * width)
        features: list[nn.Module] = [_conv_bn_relu6(3, channels, 3, 2)]
        for expansion, base, repeats, first_stride in _STAGES:
            for index in range(repeats):
                c_out = _round_to_8(base * width)
                features.append(InvertedResidual(channels, c_out, first_stride if index == 0 else 1, expansion))
                channels = c_out
        last = _round_to_8(1280 * max(1.0, width))
        features.append(_conv_bn_relu6(channels, last, 1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return y


def mobilenet_v2(width: float = 1.0, classes: int = 1000) -> nn.Module:
    """MobileNetV2 without weights.

    Args:
        width: channel multiplier, 1.0 for the paper's network.
        classes: number of logits.

    Raises:
        ConfigError: a value out of range.
    """
    return MobileNetV2(width, classes)
