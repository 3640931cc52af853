"""LayerNormalization, a float kernel whose result is that of float64, rounded."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule


@dataclass(frozen=True, eq=False)
class LayerNormalization(Rule):
    """Means and variances of float32 values that are added up in float64."""

    name: ClassVar[str] = "layer_normalization"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if operation_name(op.node) != "layer_norm":
            return None
        exact = [one.double() if isinstance(one, Tensor) else one for one in args]
        found: Tensor = op.node.target(*exact, **kwargs)  # type: ignore[operator]
        return found.to(args[0].dtype)
