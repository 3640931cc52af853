"""Sigmoid, tanh and softmax of 16 bits: tables of some hundred values, and straight lines between them.

Source: kernels of LiteRT, `Logistic`, `Tanh`, `SoftmaxInt16` and `LUTPopulate`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, twice_rounded
from qdiag.simulate.arithmetic.litert.rule import away

OUTPUT_SCALE = 2.0**-15
_LOWEST, _LARGEST = -(1 << 15), (1 << 15) - 1
_STEPS = 512
_FURTHEST = 10.0
"""Below the largest value, where the table of `exp` ends."""


def sigmoid(steps: Tensor, scale: Tensor) -> Tensor:
    """Integers of 2^-15, of `q` at a scale (float32); int64.

    `t = round(q m 2^-n)` counts steps of `1 / (3 2^12)`, `m` having up to 15 bits; `s(i) = round(2^16 sigmoid(i / 24))`
    about is read at `i = |t| >> 9` and behind it, and the rest of t lies between them.
    """
    table, t = _sigmoids(), _finer(steps, scale)
    far = t.abs()
    place = (far >> 9).clamp(max=254)
    low, high = table[place], table[place + 1]
    found = torch.where(far >> 9 >= 255, 0x7FFF << 10, (low << 9) + (far & 0x1FF) * (high - low))
    return torch.where(t >= 0, found + (1 << 9), (1 << 25) - found + (1 << 9) - 1) >> 10


def tanh(steps: Tensor, scale: Tensor) -> Tensor:
    """The same of `tanh(x) = 2 sigmoid(2 x) - 1`, with twice as fine places."""
    table, t = _sigmoids(), _finer(steps, scale)
    far = t.abs()
    place = (far >> 8).clamp(max=254)
    low, high = table[place], table[place + 1]
    found = torch.where(far >> 8 >= 255, 0xFFFF << 8, (low << 8) + (far & 0xFF) * (high - low))
    one, half = 1 << 23, 1 << 7
    return torch.where(t >= 0, found - one + half, one - found + half - 1) >> 8


def softmax(below: Tensor, scale: Tensor) -> Tensor:
    """Integers of 2^-15 along the last axis.

    Args:
        below: `max(q) - q`, int64. scale: of q, float32.
    """
    by = Multiplier.of(torch.tensor(float(scale) / (_FURTHEST / 65535.0), dtype=torch.float64))
    place = (twice_rounded(-below, by.to(below.device)) + _LARGEST).clamp(_LOWEST, _LARGEST)
    values = _between(_lines(torch.exp, -_FURTHEST, 0.0), place)
    total = values.sum(-1, keepdim=True)
    head = 32 - torch.frexp(total.double()).exponent.to(torch.int64)
    shifted = ((total << (head - 1)) + (1 << 13)) >> 14
    rest = (shifted - (1 << 15) - (1 << 16)).clamp(_LOWEST, _LARGEST)
    inverse = _between(_lines(lambda x: 1.0 / (1.0 + x), 0.0, 1.0), rest)
    right = 31 - head
    return ((values * inverse + ((torch.ones_like(right) << right) >> 1)) >> right).clamp(0, _LARGEST)


def _sigmoids() -> Tensor:
    """Values at `i / 24`, moved by half of what a line to the next one lies below the function in its middle."""
    at = torch.arange(257).double() / 24.0
    exact = 65536.0 * torch.sigmoid(at)
    middle = 65536.0 * torch.sigmoid((at[:-1] + at[1:]) / 2.0)
    table = torch.round(exact[:-1] + (middle - (exact[:-1] + exact[1:]) / 2.0) / 2.0).to(torch.int64)
    table[-1] = 65535
    return table


def _finer(steps: Tensor, scale: Tensor) -> Tensor:
    """Steps of `1 / (3 2^12)`; a scale of 2^-12 needs no multiplier but 3, and one of 2^-11 twice as much."""
    power = float(torch.log2(scale.double()))
    if power in (-12.0, -11.0):
        return steps * (3 << int(power + 12.0))
    by, shift = float(scale) * 4096.0 * 3.0, 0
    while by <= 32767.0 / 2.0 and shift <= 30:
        by, shift = by * 2.0, shift + 1
    return (steps * int(by) + ((1 << shift) >> 1)) >> shift


def _lines(of: Callable[[Tensor], Tensor], low: float, high: float) -> Tensor:
    """513 values of a function as integers of 2^-15, moved by half of what a line is off between them."""
    step = (high - low) / _STEPS
    at = low + step * torch.arange(_STEPS + 1).double()
    factor = 65536.0 / 2.0
    here = away(of(at) * factor)
    between = away((of(at[:-1] + step) * factor + here[:-1]) / 2.0)
    error = between - away(of(at[:-1] + step / 2.0) * factor)
    ends = (here[:-1] - away(error / 2.0), away(of(torch.tensor([high]).double()) * factor))
    return torch.cat(ends).clamp(_LOWEST, _LARGEST).to(torch.int64)


def _between(table: Tensor, place: Tensor) -> Tensor:
    table = table.to(place.device)
    index = (place >> 7) + 256
    base = table[index]
    return base + (((table[index + 1] - base) * (place & 0x7F) + 64) >> 7)
