"""Blocks of parallel linear branches, written in the style of the public code of each, and networks that have none."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn(
    c_in: int,
    c_out: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    groups: int = 1,
) -> nn.Sequential:
    layers = nn.Sequential()
    layers.add_module("conv", nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False))
    layers.add_module("bn", nn.BatchNorm2d(c_out))
    return layers


class RepVGGBlock(nn.Module):
    """3x3, 1x1 and identity, each with a BatchNorm; options as in the settings of QARepVGG."""

    def __init__(
        self, c_in: int, c_out: int, stride: int = 1, groups: int = 1, identity_bn: bool = True, after: bool = False
    ) -> None:
        super().__init__()
        self.nonlinearity = nn.ReLU()
        self.rbr_identity: nn.Module | None = None
        if c_in == c_out and stride == 1:
            self.rbr_identity = nn.BatchNorm2d(c_in) if identity_bn else nn.Identity()
        self.rbr_dense = conv_bn(c_in, c_out, 3, stride, 1, groups)
        if after:
            self.rbr_1x1: nn.Module = nn.Conv2d(c_in, c_out, 1, stride, groups=groups, bias=False)
        else:
            self.rbr_1x1 = conv_bn(c_in, c_out, 1, stride, 0, groups)
        self.bn = nn.BatchNorm2d(c_out) if after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        skip = 0 if self.rbr_identity is None else self.rbr_identity(x)
        out: Tensor = self.nonlinearity(self.bn(self.rbr_dense(x) + self.rbr_1x1(x) + skip))
        return out


class MobileOneBlock(nn.Module):
    """k over-parameterized convolutions, a 1x1 scale branch and a skip BatchNorm, added up in a loop."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, groups: int = 1, k: int = 2) -> None:
        super().__init__()
        padding = kernel // 2
        self.activation = nn.ReLU()
        self.se = nn.Identity()
        self.rbr_skip = nn.BatchNorm2d(c_in) if c_in == c_out and stride == 1 else None
        self.rbr_conv = nn.ModuleList(conv_bn(c_in, c_out, kernel, stride, padding, groups) for _ in range(k))
        self.rbr_scale = conv_bn(c_in, c_out, 1, stride, 0, groups) if kernel > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        identity = self.rbr_skip(x) if self.rbr_skip is not None else 0
        out = (self.rbr_scale(x) if self.rbr_scale is not None else 0) + identity
        for conv in self.rbr_conv:
            out += conv(x)
        y: Tensor = self.activation(self.se(out))
        return y


class BNAndPad(nn.Module):
    """A BatchNorm whose output is surrounded with what it makes of zero."""

    def __init__(self, pad: int, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(x)
        if self.pad > 0:
            bn = self.bn
            assert bn.running_mean is not None and bn.running_var is not None
            values = bn.bias.detach() - bn.running_mean * bn.weight.detach() / torch.sqrt(bn.running_var + bn.eps)
            values = values.view(1, -1, 1, 1)
            y = F.pad(y, [self.pad] * 4)
            y[:, :, 0 : self.pad, :] = values
            y[:, :, -self.pad :, :] = values
            y[:, :, :, 0 : self.pad] = values
            y[:, :, :, -self.pad :] = values
        return y


class IdentityBased1x1(nn.Module):
    """A 1x1 convolution that starts as the identity: the weight that runs is computed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, channels, 1, 1))
        self.register_buffer("id_tensor", torch.eye(channels)[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight + self.id_tensor)


class DiverseBranchBlock(nn.Module):
    """k x k; 1x1; 1x1 then average pooling; 1x1 then k x k, with what a BatchNorm makes of zero as padding between."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        pad = kernel // 2
        self.dbb_origin = conv_bn(c_in, c_out, kernel, stride, pad)
        self.dbb_1x1 = conv_bn(c_in, c_out, 1, stride, 0)
        self.dbb_avg = nn.Sequential()
        self.dbb_avg.add_module("conv", nn.Conv2d(c_in, c_out, 1, bias=False))
        self.dbb_avg.add_module("bn", BNAndPad(pad, c_out))
        self.dbb_avg.add_module("avg", nn.AvgPool2d(kernel, stride, 0))
        self.dbb_avg.add_module("avgbn", nn.BatchNorm2d(c_out))
        self.dbb_1x1_kxk = nn.Sequential()
        self.dbb_1x1_kxk.add_module("idconv1", IdentityBased1x1(c_in))
        self.dbb_1x1_kxk.add_module("bn1", BNAndPad(pad, c_in))
        self.dbb_1x1_kxk.add_module("conv2", nn.Conv2d(c_in, c_out, kernel, stride, 0, bias=False))
        self.dbb_1x1_kxk.add_module("bn2", nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        out = self.dbb_origin(x)
        out += self.dbb_1x1(x)
        out += self.dbb_avg(x)
        out += self.dbb_1x1_kxk(x)
        return F.relu(out)


class ACBlock(nn.Module):
    """A square kernel, a vertical and a horizontal one; without padding the input of the thin ones is cropped."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> None:
        super().__init__()
        self.square_conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=False)
        self.square_bn = nn.BatchNorm2d(c_out)
        self.crop = kernel // 2 - padding
        thin = max(padding - kernel // 2, 0)
        self.ver_conv = nn.Conv2d(c_in, c_out, (kernel, 1), stride, (padding, thin), bias=False)
        self.hor_conv = nn.Conv2d(c_in, c_out, (1, kernel), stride, (thin, padding), bias=False)
        self.ver_bn = nn.BatchNorm2d(c_out)
        self.hor_bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        square = self.square_bn(self.square_conv(x))
        c = self.crop
        vertical = self.ver_bn(self.ver_conv(x[:, :, :, c:-c] if c > 0 else x))
        horizontal = self.hor_bn(self.hor_conv(x[:, :, c:-c, :] if c > 0 else x))
        return F.relu(square + vertical + horizontal)


class RepConv(nn.Module):
    """YOLOv7's: SiLU, and an identity BatchNorm that is added last."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.act = nn.SiLU()
        self.rbr_identity = nn.BatchNorm2d(c_in) if c_in == c_out and stride == 1 else None
        self.rbr_dense = nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out))
        self.rbr_1x1 = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, 0, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        out = 0 if self.rbr_identity is None else self.rbr_identity(x)
        y: Tensor = self.act(self.rbr_dense(x) + self.rbr_1x1(x) + out)
        return y


class ScaledBranches(nn.Module):
    """Branches with a scale per channel, stacked and summed; depthwise, dilated, reflected."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, channels, 3, padding=2, dilation=2, padding_mode="reflect", groups=channels)
        self.near = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", groups=channels)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, channels).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.wide(x) * self.scale, self.near(x) / 2.0, -x]).sum(0).relu()


def stack_of(*blocks: nn.Module, channels: int = 6, classes: int = 4) -> nn.Sequential:
    """A network on images (N, 3, 10, 10) around blocks of `channels` channels."""
    stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    return nn.Sequential(stem, *blocks, head)


def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with statistics and affine parameters as training leaves them, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            size = module.running_mean.shape
            module.running_mean.copy_(torch.randn(size, generator=generator) * 0.3)
            module.running_var.copy_(torch.rand(size, generator=generator) + 0.2)
            with torch.no_grad():
                module.weight.copy_(torch.rand(size, generator=generator) + 0.5)
                module.bias.copy_(torch.randn(size, generator=generator) * 0.3)
    return network.eval()


BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "repvgg": lambda: RepVGGBlock(6, 6),
    "repvgg without identity": lambda: RepVGGBlock(6, 8, stride=2),
    "repvgg in groups": lambda: RepVGGBlock(6, 6, groups=3),
    "repvgg S2": lambda: RepVGGBlock(6, 6, identity_bn=False),
    "qarepvgg": lambda: RepVGGBlock(6, 6, identity_bn=False, after=True),
    "mobileone": lambda: MobileOneBlock(6, 6),
    "mobileone depthwise": lambda: MobileOneBlock(6, 6, groups=6, k=3),
    "mobileone pointwise": lambda: MobileOneBlock(6, 6, kernel=1),
    "mobileone stride": lambda: MobileOneBlock(6, 8, stride=2),
    "dbb": lambda: DiverseBranchBlock(6, 6, stride=2),
    "acnet": lambda: ACBlock(6, 8),
    "acnet cropped": lambda: ACBlock(6, 6, padding=0),
    "acnet stride": lambda: ACBlock(6, 6, stride=2),
    "yolov7": lambda: RepConv(6, 6),
    "scaled": lambda: ScaledBranches(6),
}
"""One block of every kind, on (N, 6, 10, 10)."""
