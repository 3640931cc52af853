"""What the rules of runtimes on bytes share, whichever the runtime."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.integers import is_byte
from qdiag.simulate.arithmetic.operands import Operands


@dataclass(frozen=True, eq=False)
class ByteRule:
    """How a runtime computes one kind of operation on bytes; values in, values out that stand for its integers.

    Attributes:
        runtime: whose rule it is. operands: quantizers of what it reads. output: that of what it gives.
    """

    runtime: ClassVar[str]
    name: ClassVar[str]

    operands: Operands
    output: Affine

    @cached_property
    def key(self) -> Hashable:
        return (self.runtime, self.name, self.operands.key, self.output.key)

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
