"""Small networks for the tests: the fourteen kinds of graph that must be measured, and awkward ones beside them.

kind = KINDS["residual"]
model, (args, kwargs) = kind.build(), kind.inputs(batch=3, seed=0)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tests.networks import awkward, convolutional, mobile, sequence

Inputs = tuple[tuple[Any, ...], dict[str, Any]]

FAMILIES = (
    "plain conv stack",
    "depthwise-separable",
    "residual",
    "concat",
    "channel shuffle with split",
    "squeeze-and-excitation",
    "SiLU",
    "hard-swish",
    "transposed conv and upsampling",
    "grouped conv",
    "LayerNorm + GELU + attention",
    "LSTM or GRU",
    "shared modules",
    "dictionary in and out",
)
AWKWARD = "awkward"


@dataclass(frozen=True)
class Kind:
    """One network and its inputs.

    Attributes:
        family: one of `FAMILIES`, or `AWKWARD`.
        make: the module, with torch's own initialization.
        draw: inputs of a given batch size, from a generator.
    """

    family: str
    make: Callable[[], nn.Module]
    draw: Callable[[int, torch.Generator], Inputs]

    def build(self) -> nn.Module:
        """The network in eval mode: always the same weights, and BatchNorm statistics that fit its inputs."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            model = self.make().train()
            norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
            for norm in norms:
                norm.momentum = None  # an average over all passes, not a moving one
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_(0.0, 0.3)
            for seed in range(4):
                args, kwargs = self.inputs(8, 1000 + seed)
                model(*args, **kwargs)
            for norm in norms:
                norm.momentum = 0.1
        return model.eval()

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Positional and keyword arguments of one call, the same for the same seed."""
        return self.draw(batch, torch.Generator().manual_seed(seed))


def _normal(*shape: int) -> Callable[[int, torch.Generator], Inputs]:
    return lambda batch, generator: ((torch.randn(batch, *shape, generator=generator),), {})


def _tokens(batch: int, generator: torch.Generator) -> Inputs:
    return (torch.randint(0, 20, (batch, 3), generator=generator),), {}


def _dictionary(batch: int, generator: torch.Generator) -> Inputs:
    image = torch.randn(batch, 3, 16, 16, generator=generator)
    return ({"image": image, "extra": torch.randn(batch, 4, generator=generator)},), {}


def _masked(batch: int, generator: torch.Generator) -> Inputs:
    mask = (torch.rand(batch, 1, 16, 16, generator=generator) > 0.3).float()
    return (torch.randn(batch, 3, 16, 16, generator=generator),), {"mask": mask}


_IMAGES = _normal(3, 16, 16)

KINDS: dict[str, Kind] = {
    "plain": Kind(FAMILIES[0], convolutional.PlainStack, _IMAGES),
    "depthwise_separable": Kind(FAMILIES[1], convolutional.DepthwiseSeparable, _IMAGES),
    "residual": Kind(FAMILIES[2], convolutional.Residual, _IMAGES),
    "preactivation": Kind(FAMILIES[2], convolutional.PreActivation, _IMAGES),
    "inception": Kind(FAMILIES[3], convolutional.Inception, _IMAGES),
    "densenet": Kind(FAMILIES[3], convolutional.DenseNet, _IMAGES),
    "channel_shuffle": Kind(FAMILIES[4], convolutional.ShuffleNet, _IMAGES),
    "se_sigmoid": Kind(FAMILIES[5], lambda: mobile.SqueezeExciteNet(nn.Sigmoid), _IMAGES),
    "se_hardsigmoid": Kind(FAMILIES[5], lambda: mobile.SqueezeExciteNet(nn.Hardsigmoid), _IMAGES),
    "silu": Kind(FAMILIES[6], mobile.EfficientNet, _IMAGES),
    "hardswish": Kind(FAMILIES[7], mobile.MobileNetV3, _IMAGES),
    "unet_transposed": Kind(FAMILIES[8], lambda: convolutional.UNet("transposed"), _IMAGES),
    "unet_nearest": Kind(FAMILIES[8], lambda: convolutional.UNet("nearest"), _IMAGES),
    "unet_bilinear": Kind(FAMILIES[8], lambda: convolutional.UNet("bilinear"), _IMAGES),
    "grouped": Kind(FAMILIES[9], convolutional.ResNeXt, _IMAGES),
    "vit_multihead": Kind(FAMILIES[10], lambda: sequence.VisionTransformer(sequence.MultiHead), _IMAGES),
    "vit_sdpa": Kind(FAMILIES[10], lambda: sequence.VisionTransformer(sequence.Attention), _IMAGES),
    "vit_written_out": Kind(FAMILIES[10], lambda: sequence.VisionTransformer(sequence.WrittenOut), _IMAGES),
    "lstm": Kind(FAMILIES[11], sequence.LstmNet, _normal(3, 6)),
    "gru": Kind(FAMILIES[11], sequence.GruNet, _tokens),
    "shared": Kind(FAMILIES[12], awkward.SharedModules, _IMAGES),
    "dictionary": Kind(FAMILIES[13], awkward.DictionaryNet, _dictionary),
    "two_inputs": Kind(FAMILIES[13], awkward.TwoInputs, _masked),
    "aliasing": Kind(AWKWARD, awkward.Aliasing, _IMAGES),
    "linear_bn": Kind(AWKWARD, awkward.BatchNormAfterLinear, _normal(12)),
    "signals": Kind(AWKWARD, awkward.Signals, _normal(2, 32)),
    "no_parameters": Kind(AWKWARD, awkward.WithoutParameters, _IMAGES),
    "buffer_constant": Kind(AWKWARD, awkward.BufferConstant, _IMAGES),
    "passes_through": Kind(AWKWARD, awkward.PassesThrough, _IMAGES),
}


def output_tensors(outputs: object) -> list[Tensor]:
    """Every tensor among what a network recovered, in order."""
    return [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]
