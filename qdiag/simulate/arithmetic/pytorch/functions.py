"""Functions of one value with a kernel of their own."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.pytorch.lanes import elementwise
from qdiag.simulate.arithmetic.pytorch.rule import Rule

FUNCTIONS = ("sigmoid", "tanh", "hardsigmoid", "hardswish", "leaky_relu", "elu")


@dataclass(frozen=True, eq=False)
class Function(Rule):
    """Float32 values, the function, quantized."""

    name: ClassVar[str] = "function"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source = self.quantizer(op, 0)
        if source is None or not isinstance(args[0], Tensor):
            return None

        def function(x: Tensor) -> Tensor:
            found: Tensor = op.node.target(x, *args[1:], **kwargs)  # type: ignore[operator]
            return found

        return self.values(elementwise(function, [args[0]], [source], self.output))
