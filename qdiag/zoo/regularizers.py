"""What trainings of the sources add to the loss: L2 on depthwise weights, plain L2, and the custom L2 of RepVGG.

The first belongs to variant `d` of MobileNetV1 (arXiv 1803.08607), the others to the settings of QARepVGG (arXiv
2212.01593). Each is a sum of squares; a training adds `weight_decay / 2` times it to its loss, and leaves these weights
out of the decay of its optimizer.
"""

import torch
from torch import Tensor, nn

from qdiag.zoo.repvgg import RepVGGBlock, Setting


def depthwise_l2(model: nn.Module) -> Tensor:
    """Sum of the squares of the weights of all depthwise convolutions; a scalar, zero where there are none.

    Variant `d` of arXiv 1803.08607 trains with it: it keeps the weights of each channel, and with them the ranges of
    the layer, small. TensorFlow leaves depthwise weights out of the decay unless it is told otherwise. A convolution
    is depthwise where it has as many groups as input channels, and more than one.
    """
    weights = [
        module.weight
        for module in model.modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.groups == module.in_channels > 1
    ]
    return sum((weight.square().sum() for weight in weights), torch.zeros(()))


def plain_l2(kernel_3x3: Tensor, kernel_1x1: Tensor) -> Tensor:
    """Sum of the squares of both kernels, each for itself; a scalar."""
    return kernel_3x3.square().sum() + kernel_1x1.square().sum()


def custom_l2(
    kernel_3x3: Tensor, kernel_1x1: Tensor, gain_3x3: Tensor, gain_1x1: Tensor, *, divided: bool = True
) -> Tensor:
    """RepVGG's own L2: of the rim of the 3x3 kernel as it is, and of the tap that both branches share as it is fused.

        rim + sum (gain_3 K_3[centre] + gain_1 K_1)^2 / (gain_3^2 + gain_1^2)

    The denominator makes the second sum as large as that of one kernel. It also becomes smaller by larger gains, which
    is why QARepVGG calls it a cause of large variances: a gain that is given with its gradient is pushed up by it.

    Args:
        kernel_3x3: (C_out, C_in, 3, 3). kernel_1x1: (C_out, C_in, 1, 1).
        gain_3x3, gain_1x1: gamma / sqrt(variance + eps) of the branches' BatchNorms, (C_out,).
        divided: with the denominator (setting S0), or without it (S0').

    Returns:
        A scalar.
    """
    gain_3, gain_1 = gain_3x3.reshape(-1, 1, 1, 1), gain_1x1.reshape(-1, 1, 1, 1)
    centre = kernel_3x3[:, :, 1:2, 1:2]
    rim = kernel_3x3.square().sum() - centre.square().sum()
    fused = (gain_3 * centre + gain_1 * kernel_1x1).square()
    return rim + (fused / (gain_3.square() + gain_1.square()) if divided else fused).sum()


def block_l2(block: RepVGGBlock, setting: Setting, *, gain_gradient: bool = False) -> Tensor:
    """The regularizer of one block in a setting; a scalar.

    S0 is `custom_l2`, S0' the same without its denominator, and all others `plain_l2`.

    Args:
        gain_gradient: whether the gains of the BatchNorms get a gradient; in RepVGG's code they get none.
    """
    kernel_3x3 = _weight(block.rbr_dense.get_submodule("conv"))
    if setting not in ("S0", "S0'"):
        has_norm = not isinstance(block.rbr_1x1, nn.Conv2d)
        return plain_l2(kernel_3x3, _weight(block.rbr_1x1.get_submodule("conv") if has_norm else block.rbr_1x1))
    kernel_1x1 = _weight(block.rbr_1x1.get_submodule("conv"))
    gains = [batchnorm_gain(branch.get_submodule("bn")) for branch in (block.rbr_dense, block.rbr_1x1)]
    if not gain_gradient:
        gains = [gain.detach() for gain in gains]
    return custom_l2(kernel_3x3, kernel_1x1, gains[0], gains[1], divided=setting == "S0")


def network_l2(model: nn.Module, setting: Setting, *, gain_gradient: bool = False) -> Tensor:
    """Sum of `block_l2` over all blocks of a network in its training form; zero where it has none."""
    blocks = [module for module in model.modules() if isinstance(module, RepVGGBlock)]
    return sum((block_l2(block, setting, gain_gradient=gain_gradient) for block in blocks), torch.zeros(()))


def batchnorm_gain(norm: nn.Module) -> Tensor:
    """gamma / sqrt(running variance + eps), (C,)."""
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_var is None:
        raise TypeError(f"a {type(norm).__name__} has no running variance")
    return norm.weight / (norm.running_var + norm.eps).sqrt()


def _weight(module: nn.Module) -> Tensor:
    weight: Tensor = module.weight  # type: ignore[assignment]
    return weight
