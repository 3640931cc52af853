"""What the rules of onnxruntime share."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.byte_rule import ByteRule
from qdiag.simulate.arithmetic.integers import pieces


@dataclass(frozen=True, eq=False)
class Rule(ByteRule):
    """How onnxruntime computes one kind of operation on bytes."""

    runtime: ClassVar[str] = "ort"


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
