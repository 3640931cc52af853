"""What the rules of LiteRT share."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.integers import integers, is_byte, pieces
from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, Scaled, rounded_up_twice, twice_rounded
from qdiag.simulate.arithmetic.operands import Operands

Kernels = Literal["tflite-ref", "tflite", "xnnpack"]
_INT16_MAX = (1 << 15) - 1
_FINER, _BITS = 128.0, 8
LOWEST = -128
"""Of the integers of a LiteRT file of int8."""


@dataclass(frozen=True, eq=False)
class Rule:
    """How LiteRT computes one kind of operation on bytes; values in, values out that stand for its integers.

    Attributes:
        kernels: whose. operands: quantizers of what it reads. output: that of what it gives.
        lowest: integer of bytes in the file, -128 or 0.
    """

    name: ClassVar[str]
    narrows: ClassVar[bool] = True
    """What is given as bytes of what is read in 16 bits is int16 first, and quantized anew."""

    kernels: Kernels
    operands: Operands
    output: Affine
    lowest: int = LOWEST

    @cached_property
    def key(self) -> Hashable:
        return (self.kernels, self.name, self.operands.key, self.output.key, self.lowest)

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `Arithmetic`; in float where the operation is no one that the rule knows."""
        if self.narrows and self.is_wide and is_byte(self.output):
            fine = finer(self.output)
            values = replace(self, output=fine).on_integers(op, args, kwargs)
            found = values if values is None else narrowed(values, fine, self.output, self.kernels)
        else:
            found = self.on_integers(op, args, kwargs)
        return found if found is not None else FAKE_QUANTIZED.run(op, args, kwargs)

    @cached_property
    def is_wide(self) -> bool:
        """Its kernel is that of int16: something that it reads or gives has 16 bits."""
        return any(map(is_int16, (self.output, *self.operands.by_node.values())))

    def zero(self, quantizer: Affine) -> int:
        """The zero point of the file, which is 0 in kernels of int16."""
        return 0 if self.is_wide else zero_point(quantizer, self.lowest)

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """The values of the output's integers, not yet limited to its range; None where no rule is known."""
        raise NotImplementedError

    def quantizer(self, op: LayerOp, place: int) -> Affine | None:
        """That of an argument; None where it is no tensor of int8, uint8 or int16 with one scale."""
        found = self.operands.of(op.node.args[place]) if place < len(op.node.args) else None
        return found if isinstance(found, Affine) and is_known(found) else None

    def operand(self, op: LayerOp, args: tuple[Any, ...], place: int) -> tuple[Tensor, Tensor] | None:
        """Integers less their zero point (float32) and their scale; None for what has none.

        A number is an integer of plus or minus one step, whose scale is the number, as exported files have it.
        """
        value = args[place] if place < len(args) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            sign = float(value > 0) - float(value < 0)
            return torch.tensor(sign), number(abs(float(value)) or 1.0)
        quantizer = self.quantizer(op, place)
        return None if quantizer is None else (integers(args[place], quantizer), quantizer.scale.cpu())


def is_int16(quantizer: object) -> bool:
    """Integers of 16 bits around 0, as files have them."""
    if not isinstance(quantizer, Affine) or bool(quantizer.zero_point.any()):
        return False
    return quantizer.quant_max == _INT16_MAX and quantizer.quant_min in (-_INT16_MAX - 1, -_INT16_MAX)


def is_signed_byte(quantizer: object) -> bool:
    """Integers of int8 at one scale."""
    return isinstance(quantizer, Affine) and is_byte(quantizer) and quantizer.quant_min == LOWEST


def is_known(quantizer: object) -> bool:
    """There are kernels for its integers."""
    return is_byte(quantizer) or is_int16(quantizer)


def finer(output: Affine) -> Affine:
    """int16 with as many steps in one of a byte as fit."""
    zero = torch.zeros_like(output.scale)
    return Affine(output.scale / _FINER, zero, -_INT16_MAX - 1, _INT16_MAX, is_symmetric=True)


def requantized(steps: Tensor, source: Affine, target: Affine, kernels: Kernels) -> Tensor:
    """`q - zero_point` of one quantizer as that of another, limited to its integers; int64.

    The reference: `M(s / s')`, twice rounded. The runtime's own kernel: halves up. XNNPACK, between bytes:
    `((q - z) round(256 f32(s / s')) + 128) >> 8`, where the ratio lies between 2^-8 and 2^7.
    """
    ratio = number(source.scale) / number(target.scale)
    are_bytes = is_byte(source) and is_byte(target)
    if kernels == "xnnpack" and are_bytes and 2.0**-_BITS <= float(ratio) <= 2.0 ** (_BITS - 1):
        by = int(torch.round(ratio * float(1 << _BITS)))
        found = (steps * by + (1 << (_BITS - 1))) >> _BITS
    else:
        multiplier = Multiplier.of(source.scale.cpu().double() / target.scale.cpu().double()).to(steps.device)
        found = (rounded_up_twice if are_bytes and kernels != "tflite-ref" else twice_rounded)(steps, multiplier)
    return limited(found, target)


def limited(steps: Tensor, quantizer: Affine) -> Tensor:
    """Within the integers of a quantizer."""
    zero = int(quantizer.zero_point)
    return steps.clamp(quantizer.quant_min - zero, quantizer.quant_max - zero)


def narrowed(values: Tensor, source: Affine, output: Affine, kernels: Kernels) -> Tensor:
    """Values of an int16 that is quantized anew."""
    steps = limited(torch.round(values / float(source.scale)).to(torch.int64), source)
    return requantized(steps, source, output, kernels).float() * float(output.scale)


def lowest_of(plan: QuantPlan) -> int:
    """0 where a weight has a zero point, which kernels of int8 do not know, so that the file is one of uint8."""
    weights = (layer.weight for layer in plan.layers.values())
    return (
        0 if any(isinstance(one, Affine) and is_byte(one) and bool(one.zero_point.any()) for one in weights) else LOWEST
    )


def zero_point(quantizer: Affine, lowest: int = LOWEST) -> int:
    """As the file has it."""
    return int(quantizer.zero_point) - quantizer.quant_min + lowest


def number(value: float | Tensor) -> Tensor:
    """A float32 number, for arithmetic in float32."""
    return torch.as_tensor(value, dtype=torch.float32).cpu()


def scaled(total: Tensor, by: Multiplier, how: Scaled, output: Affine) -> Tensor:
    """Values of integer sums times a multiplier, float32.

    Args:
        by: broadcasts with the sums.
    """
    target = torch.empty_like(total, dtype=torch.float32)
    scale = float(output.scale)
    by = by.to(total.device)
    for values, found in zip(pieces(total), pieces(target), strict=True):
        found.copy_(how(values.to(torch.int64), by)).mul_(scale)
    return target


def in_lanes(total: Tensor, by: Multiplier, lanes: int, output: Affine) -> Tensor:
    """The same, with channels on the second axis of which a kernel works on several at once, and rounds them otherwise.

    Whole groups are rounded by halves up, and the channels that are left over as the reference rounds them.

    Args:
        by: of one number, or of one for each channel.
    """
    whole = total.shape[1] // lanes * lanes
    parts = []
    for how, place in ((rounded_up_twice, slice(None, whole)), (twice_rounded, slice(whole, None))):
        is_each = by.mantissa.ndim > 0
        own = Multiplier(by.mantissa[:, place], by.shift[:, place]) if is_each else by
        parts.append(scaled(total[:, place], own, how, output))
    return torch.cat(parts, 1)


def scaled_in_float(total: Tensor, multiplier: Tensor, output: Affine) -> Tensor:
    """`round_half_even(float32(total) * multiplier) * scale`, in place where total is float32."""
    values, scale = total.float(), float(output.scale)
    for piece in pieces(values):
        piece.mul_(multiplier).round_().mul_(scale)
    return values


def scaled_in_double(total: Tensor, multiplier: Tensor, output: Affine) -> Tensor:
    """The same in float64, halves away from 0; float32."""
    return away(total.double() * multiplier).float().mul_(float(output.scale))


def away(x: Tensor) -> Tensor:
    """To the nearest, halves away from 0; infinity stays."""
    return torch.sign(x) * torch.floor(x.abs().double() + 0.5).to(x.dtype)
