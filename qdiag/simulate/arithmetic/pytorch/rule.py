"""What the rules of torch's quantized kernels share."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.integers import integers, is_byte
from qdiag.simulate.arithmetic.operands import Operands


@dataclass(frozen=True, eq=False)
class Rule:
    """How torch computes one kind of operation on bytes; values in, values out that stand for its integers.

    Attributes:
        operands: quantizers of what it reads. output: that of what it gives.
    """

    name: ClassVar[str]

    operands: Operands
    output: Affine

    @cached_property
    def key(self) -> Hashable:
        return ("torch", self.name, self.operands.key, self.output.key)

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `Arithmetic`; in float where the operation is no one that the rule knows."""
        found = self.on_integers(op, args, kwargs)
        return found if found is not None else FAKE_QUANTIZED.run(op, args, kwargs)

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """The values of the output's integers, not yet limited to its range; None where torch computes in float."""
        raise NotImplementedError

    def quantizer(self, op: LayerOp, place: int) -> Affine | None:
        """That of an argument; None where it is no tensor of bytes with one scale."""
        found = self.operands.of(op.node.args[place]) if place < len(op.node.args) else None
        return found if isinstance(found, Affine) and is_byte(found) else None

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
