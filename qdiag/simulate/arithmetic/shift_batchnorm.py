"""BatchNorms that stay, with shifts in place of multiplications."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from qdiag.core.graph import Layer
from qdiag.numerics.shift_batchnorm import shift_batch_norm
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp


@dataclass(frozen=True)
class ShiftBatchNorm:
    """Every factor of the BatchNorm is the power of two nearest to it, see `shift_batch_norm`."""

    key: Hashable = "shift_batchnorm"

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        del op, kwargs
        x, gamma, beta, mean, variance, is_training, _, eps, *_ = args
        if is_training:
            mean = variance = None
        return shift_batch_norm(x, gamma, beta, mean, variance, eps)


def shift_batchnorm(plan: QuantPlan, layer: Layer) -> ShiftBatchNorm | None:
    """For a BatchNorm that no layer took in, where the scheme asks for shifts, and the layer runs on the backend."""
    is_kept = layer.ops[:1] == ("batch_norm",) and plan.layers[layer.name].skip_reason is None
    return ShiftBatchNorm() if is_kept and plan.scheme.batchnorm == "shift" else None
