"""What the rules of torch's quantized kernels share."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.byte_rule import ByteRule
from qdiag.simulate.arithmetic.integers import integers


@dataclass(frozen=True, eq=False)
class Rule(ByteRule):
    """How torch computes one kind of operation on bytes."""

    runtime: ClassVar[str] = "torch"

    def values(self, steps: Tensor) -> Tensor:
        """Those of `q - zero_point`, in place."""
        return steps.mul_(float(self.output.scale))


def zero_point(quantizer: Affine) -> float:
    """Of the unsigned integers that torch's kernels take; those of int8 lie 128 lower, and all else is the same."""
    return float(quantizer.zero_point) + (128.0 if quantizer.quant_min < 0 else 0.0)


def stored(x: Tensor, quantizer: Affine) -> Tensor:
    """The unsigned integers, float32."""
    return integers(x, quantizer).add_(zero_point(quantizer))


def number(value: float | Tensor) -> Tensor:
    """A float32 number, for arithmetic in float32."""
    return torch.as_tensor(value, dtype=torch.float32).cpu()


def reciprocal(quantizer: Affine) -> float:
    """`f32(1 / scale)`."""
    return float(1.0 / number(quantizer.scale))
