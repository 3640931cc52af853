"""What the rules of LiteRT share."""

from collections.abc import Hashable
from dataclasses import dataclass
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

    kernels: Kernels
    operands: Operands
    output: Affine
    lowest: int = LOWEST

    @cached_property
    def key(self) -> Hashable:
        return (self.kernels, self.name, self.operands.key, self.output.key, self.lowest)

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `Arithmetic`; in float where the operation is no one that the rule knows."""
        found = self.on_integers(op, args, kwargs)
        return found if found is not None else FAKE_QUANTIZED.run(op, args, kwargs)

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """The values of the output's integers, not yet limited to its range; None where no rule is known."""
        raise NotImplementedError

    def quantizer(self, op: LayerOp, place: int) -> Affine | None:
        """That of an argument; None where it is no tensor of bytes with one scale."""
        found = self.operands.of(op.node.args[place]) if place < len(op.node.args) else None
        return found if isinstance(found, Affine) and is_byte(found) else None

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
