"""ABS, NEG, SQRT, RSQRT and LOG: functions of one byte that files of other tools leave to kernels of int8."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, doubled_high, shifted_down, twice_rounded
from qdiag.simulate.arithmetic.litert.rule import LOWEST, away, limited, number

_BYTE = 256
_HIGHEST = LOWEST + _BYTE - 1
_INT32_MAX = (1 << 31) - 1
_ROOT_SHIFT, _LARGEST = 11, 1 << 29
_HALF_ROOT_OF_2 = 1518500250
_ONE, _THREE_HALVES = 1 << 28, (1 << 28) + (1 << 27)
_STEPS, _EXTRA_BITS = 5, 20


def _absolute(steps: Tensor, source: Affine, output: Affine) -> Tensor:
    """`M(f32(s_x / s_y)) |q - z|`, twice rounded, and nothing where the scales are the same."""
    ratio = number(source.scale) / number(output.scale)
    return steps.abs() if float(ratio) == 1.0 else twice_rounded(steps.abs(), Multiplier.of(ratio.double()))


def _negated(steps: Tensor, source: Affine, output: Affine) -> Tensor:
    """`-q` of the stored integers, whatever their scales and zero points are; -128 stays."""
    stored = -(steps + int(source.zero_point))
    return torch.remainder(stored - LOWEST, _BYTE) + LOWEST - int(output.zero_point)


def _root(steps: Tensor, source: Affine, output: Affine) -> Tensor:
    """`f32(sqrt(x)) / s_y`, what is behind the point cut off."""
    x = number(source.scale) * steps.float().clamp(min=0.0)
    return torch.trunc(torch.sqrt(x) / number(output.scale)).to(torch.int64)


def _inverse_root(steps: Tensor, source: Affine, output: Affine) -> Tensor:
    """The inverse root of `q - z` with 20 more bits, times `M(1 / f32(f32(sqrt(s_x)) s_y))`, twice rounded each."""
    real = 1.0 / (torch.sqrt(number(source.scale)) * number(output.scale)).double()
    by = Multiplier.of(real)
    root = inverse_root(steps.clamp(min=1))
    data = twice_rounded(torch.ones_like(steps), Multiplier(root.mantissa, root.shift + _EXTRA_BITS))
    found = twice_rounded(data, Multiplier(by.mantissa, by.shift - _EXTRA_BITS))
    return torch.where(steps <= 0, _HIGHEST - int(output.zero_point), found)


def _logarithm(steps: Tensor, source: Affine, output: Affine) -> Tensor:
    """`round(f32(f32(log(x)) f32(1 / s_y)))`, halves away from 0; the lowest integer where x is not positive."""
    x = number(source.scale) * steps.float()
    lowest = number(float(LOWEST - int(output.zero_point))) * number(output.scale)
    y = torch.where(x > 0.0, torch.log(x.clamp(min=1e-38).double()).float(), lowest)
    return limited(away(y * (1.0 / number(output.scale))).to(torch.int64), output)


FUNCTIONS: Mapping[str, Callable[[Tensor, Affine, Affine], Tensor]] = {
    "abs": _absolute,
    "neg": _negated,
    "sqrt": _root,
    "rsqrt": _inverse_root,
    "log": _logarithm,
}
"""From `q - z` of the input to that of the output, by operation."""


def inverse_root(x: Tensor) -> Multiplier:
    """`1 / sqrt(x)` of positive integers (int64) in 31 bits: five of Newton's steps from 1.

    Source: Jacob et al., arXiv 1712.05877, and gemmlowp's fixed point, as for `Multiplier`.
    """
    value, shift = x, torch.full_like(x, _ROOT_SHIFT)
    for _ in range(2):
        is_large = value >= _LARGEST
        value, shift = torch.where(is_large, value // 4, value), shift + is_large.to(torch.int64)
    pairs = (31 - torch.frexp(value.double()).exponent.to(torch.int64)) // 2 - 1
    value, shift = value << (2 * pairs), shift - pairs
    half = shifted_down(value >> 1, 1)
    found = torch.full_like(x, _ONE)
    for _ in range(_STEPS):
        cube = _raised(doubled_high(doubled_high(found, found), found), 6)
        found = _raised(doubled_high(found, _THREE_HALVES) - doubled_high(half, cube), 3)
    found = doubled_high(found, _HALF_ROOT_OF_2)
    found, shift = found << (-shift).clamp(min=0), shift.clamp(min=0)
    is_one = x <= 1
    return Multiplier(torch.where(is_one, _INT32_MAX, found), torch.where(is_one, 0, -shift))


def _raised(x: Tensor, bits: int) -> Tensor:
    """Times a power of 2, within 32 bits."""
    return (x << bits).clamp(-_INT32_MAX - 1, _INT32_MAX)
