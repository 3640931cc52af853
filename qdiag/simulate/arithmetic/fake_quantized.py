"""Float32 arithmetic on the values that integers stand for: sums are exact but for the rounding of float32."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.clamped_convolution import clamped_convolution


@dataclass(frozen=True)
class FakeQuantized:
    """What the float network does, and what every backend does whose sums are wide enough."""

    key: Hashable = "fake_quantized"

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if op.clamp is not None:
            return clamped_convolution(op.arguments(args), op.clamp)
        return op.node.target(*op.arguments(args), **kwargs)  # type: ignore[operator]


FAKE_QUANTIZED = FakeQuantized()
