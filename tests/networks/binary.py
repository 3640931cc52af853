"""Layers with binary weights and signs as activations, written in the ways in which published networks write them.

Each takes images (N, 4, H, W) and has one convolution of 6 channels, whose float weights are what training changes.
`binary_weight` of each is what it multiplies with, computed once more.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def scaled_signs(weight: Tensor) -> Tensor:
    """sign(W) E|W| per output channel, as XNOR-Net has it."""
    return torch.sign(weight) * weight.abs().flatten(1).mean(1).view(-1, 1, 1, 1)


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(x)
        return torch.sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0] * (x.abs() <= 1.0)


class _SetUpSign(torch.autograd.Function):
    """With a context that is set up apart, as newer code has it."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.sign(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class PlainSign(nn.Conv2d):
    """Operations alone, without a scale."""

    def __init__(self) -> None:
        super().__init__(4, 6, 3)

    def binary_weight(self) -> Tensor:
        return torch.sign(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(torch.sign(x), torch.sign(self.weight), self.bias)


class Functions(PlainSign):
    """Two autograd functions."""

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = _SetUpSign.apply(self.weight)
        return F.conv2d(_Sign.apply(x), weight, self.bias)


class CentredInPlace(PlainSign):
    """micronet: the weight itself is centred and clamped through `.data`, at each call."""

    def binary_weight(self) -> Tensor:
        weight = self.weight - self.weight.mean(1, keepdim=True)
        return scaled_signs(weight.clamp(-1.0, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        weight.data.sub_(weight.data.mean(1, keepdim=True))
        weight.data.clamp_(-1.0, 1.0)
        alpha = weight.abs().mean((3, 2, 1), keepdim=True)
        return F.conv2d(_Sign.apply(x), _Sign.apply(weight) * alpha, self.bias)


class Replaced(PlainSign):
    """BinaryNet: input and weight get other values through `.data`, and the float weight hangs on the parameter."""

    def forward(self, x: Tensor) -> Tensor:
        x.data = x.data.sign()
        if not hasattr(self.weight, "org"):
            self.weight.org = self.weight.data.clone()
        self.weight.data = self.weight.org.sign()
        return F.conv2d(x, self.weight, self.bias)


class Polynomial(PlainSign):
    """Bi-Real Net: `sign - p + p`, with a polynomial p that only the gradient needs."""

    def binary_weight(self) -> Tensor:
        return scaled_signs(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        sign, is_low, is_below, is_inside = torch.sign(x), (x < -1).float(), (x < 0).float(), (x < 1).float()
        smooth = -1 * is_low + (x * x + 2 * x) * (1 - is_low)
        smooth = smooth * is_below + (2 * x - x * x) * (1 - is_below)
        smooth = smooth * is_inside + 1 * (1 - is_inside)
        clamped = self.weight.clamp(-1.0, 1.0)
        weight = scaled_signs(self.weight).detach() - clamped.detach() + clamped
        return F.conv2d(sign.detach() - smooth.detach() + smooth, weight, self.bias)


class Detached(PlainSign):
    """`w + (sign(w) - w).detach()`, and a comparison that becomes a number."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight + (self.weight.sign() - self.weight).detach()
        return F.conv2d((x >= 0).float() * 2 - 1, weight, self.bias)


class Chosen(PlainSign):
    """`where` of tensors that hold one number each."""

    def forward(self, x: Tensor) -> Tensor:
        ones = torch.ones_like(self.weight)
        weight = torch.where(self.weight >= 0, ones, -ones)
        return F.conv2d(torch.where(x > 0, torch.ones_like(x), torch.full_like(x, -1.0)), weight, self.bias)


SPELLINGS = (PlainSign, Functions, CentredInPlace, Replaced, Polynomial, Detached, Chosen)
