"""Integers behind quantized values, their sums, and their way back: what the rules of every runtime are made of.

Integers are held in float32 up to 2^24 and in float64 beyond, where additions and products of them are exact. So the
convolutions of torch add up what integer kernels do, bit for bit, in any order.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from qdiag.numerics.layout import dense, flat_chunks
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.passes.integer_weights import HALF, IntegerWeights

EXACT32 = float(1 << 24)
"""Integers below this are exact in float32."""
_CACHED = 1 << 18
"""Elements that are worked on at once."""
ACCUMULATOR_BITS = 32
"""Those of the sums in every kernel."""


def magnitude(quantizer: Affine) -> float:
    """The largest |q - zero_point| of a tensor."""
    zero_point = float(quantizer.zero_point)
    return max(abs(quantizer.quant_min - zero_point), abs(quantizer.quant_max - zero_point))


def is_byte(quantizer: object) -> bool:
    """Integers that fit uint8 or int8."""
    if not isinstance(quantizer, Affine):
        return False
    low, high = quantizer.quant_min, quantizer.quant_max
    return (low >= 0 and high <= 255) or (low >= -128 and high <= 127)


def is_short(quantizer: object) -> bool:
    """Integers that fit uint16 or int16, at one scale."""
    if not isinstance(quantizer, Affine) or quantizer.scale.ndim:
        return False
    low, high = quantizer.quant_min, quantizer.quant_max
    return (low >= 0 and high < 1 << 16) or (low >= -(1 << 15) and high < 1 << 15)


def integers(x: Tensor, quantizer: Affine) -> Tensor:
    """`q - zero_point` of values that a quantizer gave, float32, shape of x."""
    source, scale = dense(x), float(quantizer.scale)
    target = torch.empty_like(source)
    for values, found in flat_chunks(source, target, elements=_CACHED):
        torch.div(values, scale, out=found).round_()
    return target


def exact_sums(op: LayerOp, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any], largest: float) -> Tensor:
    """Sums of products of a layer with weights, bias included, exactly; float32 or float64.

    Args:
        x: `q - zero_point` of the input. args, kwargs: of the operation. largest: bound of |x|.
    """
    weights = op.weights.integers if op.weights is not None else None
    assert weights is not None, "the plan says that they are integers"

    def run(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        added: Tensor = op.node.target(values, weight, bias, *args[3:], **kwargs)  # type: ignore[operator]
        return added

    bound = weights.largest_sum * largest
    if x.device.type != "cpu":  # other devices may transform what they convolve, which rounds
        return run(x.double(), weights.weight64, weights.bias).round_()
    if bound + weights.largest_bias < EXACT32:
        return run(x, weights.weight, weights.bias32)
    if bound < EXACT32:
        total = run(x, weights.weight).double()
    elif weights.largest_sum_of_halves * largest < EXACT32:
        high, low = weights.halves
        total = run(x, high).double().mul_(HALF).add_(run(x, low))
    else:
        total = run(x.double(), weights.weight64)
    if weights.bias is None:
        return total
    return total.add_(along_channels(weights.bias, total, op))


def exact_product(x: Tensor, y: Tensor, op: LayerOp, bound: float) -> Tensor:
    """A matrix product of integers, exactly.

    Args:
        bound: largest |sum|.
    """
    if bound < EXACT32 and x.device.type == "cpu":
        found: Tensor = op.node.target(x, y)  # type: ignore[operator]
    else:
        found = op.node.target(x.double(), y.double())  # type: ignore[operator]
    return found


def largest_total(weights: IntegerWeights, largest: float) -> float:
    """Bound of |sum|, bias included, given that of |x|."""
    return weights.largest_sum * largest + weights.largest_bias


def may_wrap(op: LayerOp, largest: float, bits: int) -> bool:
    """Some input may drive a sum out of an accumulator of so many bits, and to its other end.

    Args:
        largest: of the integers that the weights are multiplied with.
    """
    weights = op.weights.integers if op.weights is not None else None
    is_wide = bits == ACCUMULATOR_BITS
    return weights is not None and is_wide and largest_total(weights, largest) >= float(1 << (bits - 1))


def wrapped(total: Tensor, bits: int = 32) -> Tensor:
    """What an accumulator of so many bits holds of sums in float64 that are integers."""
    half = float(1 << (bits - 1))
    return torch.remainder(total + half, 2.0 * half).sub_(half)


def accumulated(op: LayerOp, total: Tensor, largest: float, bits: int) -> Tensor:
    """What an accumulator of so many bits leaves of the sums: one of 32 bits wraps, a narrower one saturates.

    Args:
        total: the sums as they are, which may be changed.
        largest: of the integers that the weights are multiplied with.
    """
    assert op.layer is not None and op.weights is not None and op.weights.integers is not None
    limit, weights = float(1 << (bits - 1)), op.weights.integers
    if largest_total(weights, largest) < limit:
        return total
    if bits < ACCUMULATOR_BITS:
        return total.clamp(-limit, limit - 1.0)
    axis = op.layer.channel_axis(total.ndim)
    if axis is None:
        return wrapped(total.double(), ACCUMULATOR_BITS)
    channels, total = weights.beyond(limit, largest), total.double()
    return total.index_copy_(axis, channels, wrapped(total.index_select(axis, channels), ACCUMULATOR_BITS))


def along_channels(numbers: Tensor, values: Tensor, op: LayerOp) -> Tensor:
    """Numbers of output channels (C,), or one number (), to broadcast with the output of a layer."""
    assert op.layer is not None
    axis = op.layer.channel_axis(values.ndim)
    numbers = numbers.to(values.device)
    if not numbers.ndim or axis is None:
        return numbers
    shape = [1] * values.ndim
    shape[axis] = -1
    return numbers.view(shape)


def pieces(values: Tensor) -> Iterator[Tensor]:
    """Views of some samples each, small enough for the cache."""
    if not values.ndim or not values.shape[0]:
        yield values
        return
    per_sample = max(1, values.numel() // values.shape[0])
    yield from torch.split(values, max(1, _CACHED // per_sample))
