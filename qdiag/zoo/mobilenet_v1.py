"""MobileNetV1 (arXiv 1704.04861): depthwise 3x3 and pointwise 1x1 convolutions, each with BatchNorm and activation.

The variants are the steps by which arXiv 1803.08607 makes the block friendly to quantization: `a` is the published
block, `b` has neither BatchNorm nor activation between its two convolutions, `c` has ReLU for ReLU6 everywhere else as
well, and `d` is the network of `c`, trained with L2 on the depthwise weights (`qdiag.zoo.regularizers.depthwise_l2`).
BatchNorm's eps is TensorFlow's 1e-3, not torch's 1e-5: it sets the gain of a channel without variance, so weights
trained by TensorFlow need it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from qdiag.zoo.checks import check_choice, check_count, check_positive

Variant = Literal["a", "b", "c", "d"]
Activation = Literal["relu6", "relu"]
VARIANTS: tuple[Variant, ...] = ("a", "b", "c", "d")
_ACTIVATIONS: dict[str, type[nn.ReLU6] | type[nn.ReLU]] = {"relu6": nn.ReLU6, "relu": nn.ReLU}

# (channels, stride) of each block after the first convolution: table 1 of the paper
_STAGES = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *[(512, 1)] * 5,
    *((1024, 2), (1024, 1)),
)
# a shorter network for images of about 32 x 32
_SMALL_STAGES = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))


def _padding(stride: int, tf_padding: bool) -> tuple[nn.Module, int]:
    """The layer before a 3x3 convolution and the convolution's own padding.

    TensorFlow's SAME padding of an even input puts the one row and column that stride 2 needs at the bottom and right.
    """
    if tf_padding and stride == 2:
        return nn.ZeroPad2d((0, 1, 0, 1)), 0
    return nn.Identity(), 1


@dataclass(frozen=True)
class _Style:
    """What the layers of one network have in common; the words are those of `mobilenet_v1`."""

    activation: Activation
    depthwise_bn: bool
    depthwise_activation: bool
    conv_bias: bool
    bn_eps: float
    tf_padding: bool

    def act(self) -> nn.Module:
        return _ACTIVATIONS[self.activation]()


def _style(
    variant: Variant,
    activation: Activation | None,
    depthwise_bn: bool | None,
    depthwise_activation: bool | None,
    conv_bias: bool,
    bn_eps: float,
    tf_padding: bool,
) -> _Style:
    """The layers of a variant; None stands for what the variant has."""
    check_choice("variant", variant, VARIANTS)
    is_published = variant == "a"
    return _Style(
        activation=activation or ("relu6" if variant in ("a", "b") else "relu"),
        depthwise_bn=is_published if depthwise_bn is None else depthwise_bn,
        depthwise_activation=is_published if depthwise_activation is None else depthwise_activation,
        conv_bias=conv_bias,
        bn_eps=bn_eps,
        tf_padding=tf_padding,
    )


class SeparableBlock(nn.Module):
    """Depthwise 3x3, BatchNorm, activation; pointwise 1x1, BatchNorm, activation."""

    def __init__(self, c_in: int, c_out: int, stride: int, style: _Style) -> None:
        super().__init__()
        self.pad, padding = _padding(stride, style.tf_padding)
        self.dw = nn.Conv2d(c_in, c_in, 3, stride, padding, groups=c_in, bias=style.conv_bias)
        self.dw_bn = nn.BatchNorm2d(c_in, eps=style.bn_eps) if style.depthwise_bn else nn.Identity()
        self.dw_act = style.act() if style.depthwise_activation else nn.Identity()
        self.pw = nn.Conv2d(c_in, c_out, 1, bias=style.conv_bias)
        self.pw_bn = nn.BatchNorm2d(c_out, eps=style.bn_eps)
        self.pw_act = style.act()

    def forward(self, x: Tensor) -> Tensor:
        x = self.dw_act(self.dw_bn(self.dw(self.pad(x))))
        y: Tensor = self.pw_act(self.pw_bn(self.pw(x)))
        return y


class MobileNetV1(nn.Module):
    """Images (N, in_channels, H, W) to logits (N, classes)."""

    def __init__(
        self,
        stages: Sequence[tuple[int, int]],
        first_stride: int,
        in_channels: int,
        width: float,
        classes: int,
        style: _Style,
    ) -> None:
        super().__init__()
        check_positive("width", width)
        check_positive("bn_eps", style.bn_eps)
        check_count("classes", classes)
        check_count("in_channels", in_channels)
        check_choice("activation", style.activation, tuple(_ACTIVATIONS))
        channels = max(1, int(32 * width))
        self.pad, padding = _padding(first_stride, style.tf_padding)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, first_stride, padding, bias=style.conv_bias)
        self.bn1 = nn.BatchNorm2d(channels, eps=style.bn_eps)
        self.act1 = style.act()
        blocks: list[nn.Module] = []
        for base, stride in stages:
            c_out = max(1, int(base * width))
            blocks.append(SeparableBlock(channels, c_out, stride, style))
            channels = c_out
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.act1(self.bn1(self.conv1(self.pad(x)))))
        y: Tensor = self.fc(self.pool(x).flatten(1))
        return y


def mobilenet_v1(
    width: float = 1.0,
    classes: int = 1000,
    activation: Activation | None = None,
    depthwise_bn: bool | None = None,
    depthwise_activation: bool | None = None,
    conv_bias: bool = False,
    bn_eps: float = 1e-3,
    tf_padding: bool = True,
    in_channels: int = 3,
    variant: Variant = "a",
) -> nn.Module:
    """MobileNetV1 without weights; total stride 32.

    Args:
        width: channel multiplier, 1.0 for the paper's network.
        classes: number of logits.
        activation: `relu6` or `relu`; what the variant has where it is not given.
        depthwise_bn: BatchNorm after the depthwise convolutions, likewise.
        depthwise_activation: an activation after the depthwise convolutions, likewise.
        conv_bias: convolutions with a bias of their own, before BatchNorm.
        bn_eps: epsilon of BatchNorm.
        tf_padding: pad at the bottom and right where the stride is 2, as TensorFlow does for even inputs.
        in_channels: channels of the images.
        variant: `a` to `d` of arXiv 1803.08607; `c` and `d` are one network, and differ in how it is trained.

    Raises:
        ConfigError: a value out of range.
    """
    style = _style(variant, activation, depthwise_bn, depthwise_activation, conv_bias, bn_eps, tf_padding)
    return MobileNetV1(_STAGES, 2, in_channels, width, classes, style)


def mobilenet_v1_small(
    width: float = 0.5,
    classes: int = 10,
    activation: Activation | None = None,
    depthwise_bn: bool | None = None,
    depthwise_activation: bool | None = None,
    conv_bias: bool = False,
    bn_eps: float = 1e-3,
    tf_padding: bool = True,
    in_channels: int = 3,
    variant: Variant = "a",
) -> nn.Module:
    """MobileNetV1 for images of about 32 x 32: seven of the thirteen blocks, first stride 1, total stride 8.

    The arguments are those of `mobilenet_v1`.

    Raises:
        ConfigError: a value out of range.
    """
    style = _style(variant, activation, depthwise_bn, depthwise_activation, conv_bias, bn_eps, tf_padding)
    return MobileNetV1(_SMALL_STAGES, 1, in_channels, width, classes, style)
