"""Tensors that are joined: `quantized::cat`."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import is_byte
from qdiag.simulate.arithmetic.pytorch.lanes import at_once, steps_at_once, steps_one_by_one
from qdiag.simulate.arithmetic.pytorch.rule import Rule, zero_point

_LANES = 16
"""Channels of an image that are rounded at once."""


@dataclass(frozen=True, eq=False)
class Concat(Rule):
    """Integers are copied at the scale of the whole, otherwise dequantized and quantized.

    Channels of images are joined 16 at once, what is left over of each tensor, and everything else, one by one.
    """

    name: ClassVar[str] = "concat"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        nodes = op.node.args[0]
        if operation_name(op.node) not in ("cat", "concat") or not isinstance(nodes, list | tuple):
            return None
        quantizers = [self.operands.of(node) for node in nodes]
        if not all(isinstance(one, Affine) and is_byte(one) for one in quantizers):
            return None
        axis = int(args[1]) if len(args) > 1 else int(kwargs.get("dim", 0))
        tensors = list(args[0])
        joins_channels = tensors[0].ndim == 4 and axis % 4 == 1
        parts = [self._part(x, q, joins_channels) for x, q in zip(tensors, quantizers, strict=True)]  # type: ignore[arg-type]
        return torch.cat(parts, axis)

    def _part(self, x: Tensor, quantizer: Affine, joins_channels: bool) -> Tensor:
        has_same_zero = zero_point(quantizer) == zero_point(self.output)
        if has_same_zero and float(quantizer.scale) == float(self.output.scale):
            return x
        whole = x.shape[1] // _LANES * _LANES if joins_channels else 0
        parts = []
        if whole:
            parts.append(self.values(steps_at_once(at_once(x[:, :whole], quantizer), self.output)))
        if not whole or whole < x.shape[1]:
            rest = x[:, whole:] if joins_channels else x
            parts.append(self.values(steps_one_by_one(rest, self.output)))
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]
