"""What the rules of onnxruntime share."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.integers import is_byte, pieces
from qdiag.simulate.arithmetic.operands import Operands


@dataclass(frozen=True, eq=False)
class Rule:
    """How onnxruntime computes one kind of operation on bytes; values in, values out that stand for its integers.

    Attributes:
        operands: quantizers of what it reads. output: that of what it gives.
    """

    name: ClassVar[str]

    operands: Operands
    output: Affine

    @cached_property
    def key(self) -> Hashable:
        return ("ort", self.name, self.operands.key, self.output.key)

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `Arithmetic`; in float where the operation is no one that the rule knows."""
        found = self.on_integers(op, args, kwargs)
        return found if found is not None else FAKE_QUANTIZED.run(op, args, kwargs)

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """The values of the output's integers, not yet limited to its range; None where the runtime computes in
        float."""
        raise NotImplementedError

    def quantizer(self, op: LayerOp, place: int) -> Affine | None:
        """That of an argument; None where it is no tensor of bytes with one scale."""
        found = self.operands.of(op.node.args[place]) if place < len(op.node.args) else None
        return found if isinstance(found, Affine) and is_byte(found) else None


def number(value: float | Tensor) -> Tensor:
    """A float32 number, for arithmetic in float32."""
    return torch.as_tensor(value, dtype=torch.float32).cpu()


def requantized(total: Tensor, multiplier: Tensor, output: Affine) -> Tensor:
    """`round_half_even(float32(total) * multiplier) * scale`, in place where total is float32.

    Args:
        multiplier: float32, broadcasts with total.
    """
    values, scale = total.float(), float(output.scale)
    for piece in pieces(values):
        piece.mul_(multiplier).round_().mul_(scale)
    return values


def rounded_to(steps: Tensor, output: Affine) -> Tensor:
    """Values of `round_half_even(steps + zero_point) - zero_point`, rounded in float32; in place.

    Kernels that add the zero point before they round send halves to another side than those that add it afterwards.
    """
    zero_point, scale = float(output.zero_point), float(output.scale)
    return steps.add_(zero_point).round_().sub_(zero_point).mul_(scale)
