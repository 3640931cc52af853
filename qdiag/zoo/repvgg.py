"""RepVGG (arXiv 2101.03697) as it is trained and as it is deployed, in the settings of QARepVGG (arXiv 2212.01593).

A block that is trained adds a 3x3 convolution, a 1x1 convolution and its own input, each behind a BatchNorm; deployed,
it is one 3x3 convolution with a bias. The settings of the second paper change where BatchNorms stand:
S0, S0' and S1 have all three and differ in the regularizer (`qdiag.zoo.regularizers`), S2 has none on the identity, S3
none on the 1x1 convolution either, and S4, which is QARepVGG, has one more behind the sum of S3.

Parameters are named as in the published checkpoints of both papers.
"""

from collections.abc import Iterable
from typing import Literal

from torch import Tensor, nn

from qdiag.zoo.checks import check_choice, check_count, check_positive

Form = Literal["training", "deployed"]
Setting = Literal["S0", "S0'", "S1", "S2", "S3", "S4"]

SETTINGS: tuple[Setting, ...] = ("S0", "S0'", "S1", "S2", "S3", "S4")


def _conv_bn(c_in: int, c_out: int, kernel: int, stride: int) -> nn.Sequential:
    block = nn.Sequential()
    block.add_module("conv", nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False))
    block.add_module("bn", nn.BatchNorm2d(c_out))
    return block


class RepVGGBlock(nn.Module):
    """The three branches, their sum and a ReLU. An identity is there where input and output have one shape."""

    def __init__(self, c_in: int, c_out: int, stride: int, setting: Setting) -> None:
        super().__init__()
        self.rbr_dense = _conv_bn(c_in, c_out, 3, stride)
        norm_1x1, norm_identity = setting not in ("S3", "S4"), setting not in ("S2", "S3", "S4")
        self.rbr_1x1 = _conv_bn(c_in, c_out, 1, stride) if norm_1x1 else nn.Conv2d(c_in, c_out, 1, stride, bias=False)
        if c_in == c_out and stride == 1:
            self.rbr_identity: nn.Module | None = nn.BatchNorm2d(c_in) if norm_identity else nn.Identity()
        else:
            self.rbr_identity = None
        self.bn: nn.Module | None = nn.BatchNorm2d(c_out) if setting == "S4" else None
        self.nonlinearity = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.rbr_dense(x) + self.rbr_1x1(x)
        if self.rbr_identity is not None:
            y = y + self.rbr_identity(x)
        if self.bn is not None:
            y = self.bn(y)
        z: Tensor = self.nonlinearity(y)
        return z


class DeployedBlock(nn.Module):
    """What a `RepVGGBlock` of any setting is when its branches are one convolution."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.rbr_reparam = nn.Conv2d(c_in, c_out, 3, stride, 1)
        self.nonlinearity = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.nonlinearity(self.rbr_reparam(x))
        return y


class RepVGG(nn.Module):
    """Images (N, in_channels, H, W) to logits (N, classes).

    Args:
        stages: (blocks, channels, stride of the first) of each stage; stage 0 is one block.
    """

    def __init__(
        self, stages: tuple[tuple[int, int, int], ...], *, classes: int, in_channels: int, form: Form, setting: Setting
    ) -> None:
        super().__init__()
        check_count("classes", classes)
        check_count("in_channels", in_channels)
        check_choice("form", form, ("training", "deployed"))
        check_choice("setting", setting, SETTINGS)
        c_in = in_channels
        self.stage_names: list[str] = []
        for index, (count, channels, first_stride) in enumerate(stages):
            blocks: list[nn.Module] = []
            for position in range(count):
                stride = first_stride if position == 0 else 1
                trained = form == "training"
                blocks.append(
                    RepVGGBlock(c_in, channels, stride, setting) if trained else DeployedBlock(c_in, channels, stride)
                )
                c_in = channels
            self.stage_names.append(f"stage{index}")
            self.add_module(f"stage{index}", blocks[0] if index == 0 else nn.Sequential(*blocks))
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(c_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.stage_names:
            x = self.get_submodule(name)(x)
        y: Tensor = self.linear(self.gap(x).flatten(1))
        return y


def repvgg_a0(classes: int = 1000, in_channels: int = 3, form: Form = "training", setting: Setting = "S0") -> nn.Module:
    """RepVGG-A0 without weights: stages of 1, 2, 4, 14 and 1 blocks (arXiv 2101.03697, tables 2 and 3).

    Args:
        classes: number of logits.
        in_channels: channels of the images.
        form: `training`, with branches, or `deployed`, with one convolution per block.
        setting: which BatchNorms the branches have; deployed networks of all settings are alike.

    Raises:
        ConfigError: a value out of range.
    """
    stages = ((1, 48, 2), (2, 48, 2), (4, 96, 2), (14, 192, 2), (1, 1280, 2))
    return RepVGG(stages, classes=classes, in_channels=in_channels, form=form, setting=setting)


def repvgg_small(
    width: float = 1.0, classes: int = 10, in_channels: int = 3, form: Form = "training", setting: Setting = "S0"
) -> nn.Module:
    """A RepVGG for images of 32 x 32 pixels, without weights: stages of 1, 2, 2 and 2 blocks.

    Args:
        width: multiplies the 16, 16, 32 and 64 channels of the stages.
        classes, in_channels, form, setting: as in `repvgg_a0`.

    Raises:
        ConfigError: a value out of range.
    """
    check_positive("width", width)
    first, second, third = (max(1, round(width * channels)) for channels in (16, 32, 64))
    stages = ((1, first, 1), (2, first, 1), (2, second, 2), (2, third, 2))
    return RepVGG(stages, classes=classes, in_channels=in_channels, form=form, setting=setting)


def arguments_of_names(names: Iterable[str]) -> dict[str, object]:
    """The form and the setting of a checkpoint, from the names of its tensors; of S0, S0' and S1, which have the same
    tensors, S0. Empty where the names are those of no RepVGG."""
    ends = {name.rpartition("rbr_")[2] for name in names if "rbr_" in name}
    if any(end.startswith("reparam.") for end in ends):
        return {"form": "deployed"}
    if "1x1.weight" in ends:
        follows_sum = any(_follows_sum(name) for name in names)
        return {"form": "training", "setting": "S4" if follows_sum else "S3"}
    if "1x1.conv.weight" in ends:
        return {"form": "training", "setting": "S0" if "identity.weight" in ends else "S2"}
    return {}


def _follows_sum(name: str) -> bool:
    """Whether `name` is the gain of the BatchNorm behind a sum, as in `stage0.bn.weight`."""
    return name.endswith(".bn.weight") and "rbr_" not in name
