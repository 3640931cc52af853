"""Network in Network for 32 x 32 images (arXiv 1312.4400, section 4), with blocks that can be made binary.

The channels, and a BatchNorm behind every convolution, are those of the NIN that micronet prunes and makes binary.
With `activations="sign"` a block is sign, convolution, BatchNorm, so that BatchNorm, sign and convolution follow each
other from block to block as in XNOR-Net (arXiv 1603.05279, section 3.2), and a pooling between two blocks sees the
values before the sign. Names and shapes of all parameters are the same in every form, and one checkpoint loads into
all of them.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from qdiag.numerics.straight_through.saturated import saturated
from qdiag.zoo.checks import check_choice, check_count, check_positive

Weights = Literal["float", "sign", "scaled_sign"]
Activations = Literal["relu", "sign"]

# channels and kernel size of each block; the last block has as many channels as there are classes
_BLOCKS = ((192, 5), (160, 1), (96, 1), (192, 5), (192, 1), (192, 1), (192, 3), (192, 1))


def _sign(x: Tensor) -> Tensor:
    """`+1` where `x >= 0`, else `-1`; the gradient passes where `|x| <= 1`."""
    return saturated(x, torch.where(x >= 0.0, 1.0, -1.0))


class BinaryConv2d(nn.Conv2d):
    """A convolution with the signs of its weights; the weights themselves are what training changes.

    With `is_scaled`, they are centred over the input channels and clamped to [-1, 1] first, and each output channel is
    multiplied by the mean of its |weights|, the alpha of arXiv 1603.05279, equation 6.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, *, is_scaled: bool) -> None:
        super().__init__(c_in, c_out, kernel, 1, kernel // 2)
        self.is_scaled = is_scaled

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self._conv_forward(x, self.binary_weight(), self.bias)
        return y

    def binary_weight(self) -> Tensor:
        """What the convolution multiplies with, shape of the weight."""
        if not self.is_scaled:
            return _sign(self.weight)
        centred = (self.weight - self.weight.mean(1, keepdim=True)).clamp(-1.0, 1.0)
        return _sign(centred) * centred.abs().mean((1, 2, 3), keepdim=True)


class NinBlock(nn.Module):
    """Convolution, BatchNorm, and a sign before or a ReLU behind them."""

    def __init__(self, c_in: int, c_out: int, kernel: int, weights: Weights, *, signs: bool, rectifies: bool) -> None:
        super().__init__()
        self.signs = signs
        self.conv = (
            nn.Conv2d(c_in, c_out, kernel, 1, kernel // 2)
            if weights == "float"
            else BinaryConv2d(c_in, c_out, kernel, is_scaled=weights == "scaled_sign")
        )
        self.bn = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU() if rectifies else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.bn(self.conv(_sign(x) if self.signs else x)))
        return y


class NetworkInNetwork(nn.Module):
    """Images (N, in_channels, 32, 32) to logits (N, classes)."""

    def __init__(
        self, classes: int, width: float, in_channels: int, weights: Weights, activations: Activations
    ) -> None:
        super().__init__()
        check_count("classes", classes)
        check_positive("width", width)
        check_count("in_channels", in_channels)
        check_choice("weights", weights, ("float", "sign", "scaled_sign"))
        check_choice("activations", activations, ("relu", "sign"))
        is_relu, c_in, blocks = activations == "relu", in_channels, []
        plan = [(max(1, int(base * width)), kernel) for base, kernel in _BLOCKS] + [(classes, 1)]
        for i, (c_out, kernel) in enumerate(plan):
            is_first, is_last = i == 0, i == len(plan) - 1
            own: Weights = "float" if is_first or is_last else weights
            signs, rectifies = not is_relu and not is_first, is_relu or is_last
            blocks.append(NinBlock(c_in, c_out, kernel, own, signs=signs, rectifies=rectifies))
            c_in = c_out
        self.c0, self.c1, self.c2, self.c3, self.c4, self.c5, self.c6, self.c7, self.c8 = blocks
        self.p0 = nn.MaxPool2d(3, 2, 1)
        self.p1 = nn.AvgPool2d(3, 2, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.p0(self.c2(self.c1(self.c0(x))))
        x = self.p1(self.c5(self.c4(self.c3(x))))
        y: Tensor = self.pool(self.c8(self.c7(self.c6(x)))).flatten(1)
        return y


def nin(
    classes: int = 10,
    width: float = 1.0,
    in_channels: int = 3,
    weights: Weights = "float",
    activations: Activations = "relu",
) -> nn.Module:
    """Network in Network without weights.

    Args:
        classes: number of logits.
        width: channel multiplier of all blocks but the last.
        in_channels: channels of the images.
        weights: of every convolution but the first and the last: `float`; `sign`, -1 and +1; or `scaled_sign`, centred
            and clamped, and multiplied by the mean of |weight| per output channel.
        activations: `relu` behind every BatchNorm, or `sign` before every convolution but the first.

    Raises:
        ConfigError: a value out of range.
    """
    return NetworkInNetwork(classes, width, in_channels, weights, activations)
