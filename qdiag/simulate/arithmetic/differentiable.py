"""The float network with the history that a gradient needs, where rounding and signs of the network have derivatives.

A network that was trained to be quantized rounds, or takes signs, in its own `forward`. Their derivative is 0 almost
everywhere, and no gradient would reach what stands before them. Rounding counts as the identity, a sign as the identity
from -1 to 1, as in training: see `qdiag.numerics.straight_through`.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from qdiag.core.by_identity import ByIdentity
from qdiag.numerics.straight_through.identity import identity
from qdiag.numerics.straight_through.saturated import saturated
from qdiag.simulate.arithmetic.base import LayerOp

aten = torch.ops.aten


class Differentiable:
    """Values as in the float network; a new one for each run."""

    key: Hashable = "differentiable"

    def __init__(self) -> None:
        self._compared: ByIdentity[Tensor] = ByIdentity()

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `Arithmetic`."""
        target: Any = op.node.target
        with torch.enable_grad():
            own = _WITH_DERIVATIVE.get(target, target)(*op.arguments(args), **kwargs)
            if target in _COMPARISONS and isinstance(args[0], Tensor) and args[0].requires_grad and args[1] == 0:
                self._compared.put(own, args[0] if target in _ABOVE else -args[0])
            if target in _CHOICES and isinstance(own, Tensor):
                return self._sign(own, *args)
        return own

    def _sign(self, own: Tensor, condition: Any, high: Any = None, low: Any = None) -> Tensor:
        """`own` with the derivative of a sign where it is one: `a` above zero, `-a` below, one number for all."""
        above, levels = self._compared.get(condition), (_number(high), _number(low))
        if above is None or None in levels or levels[0] != -levels[1] or above.shape != own.shape:  # type: ignore[operator]
            return own
        magnitude: Any = levels[0]
        return saturated(above, own / magnitude) * magnitude if magnitude else own


def _number(value: Any) -> float | None:
    """A plain number, or a constant tensor of one."""
    if isinstance(value, Tensor):
        return float(value) if value.numel() == 1 and not value.requires_grad else None
    return float(value) if isinstance(value, int | float) else None


def _copied(x: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    del non_blocking
    return source.to(x.dtype).expand_as(x)


def _sign(x: Tensor) -> Tensor:
    return saturated(x, x.detach().sign())


_WITH_DERIVATIVE: Mapping[object, Callable[..., Any]] = {
    aten.copy.default: _copied,
    aten.round.default: lambda x: identity(x, x.detach().round()),
    aten.floor.default: lambda x: identity(x, x.detach().floor()),
    aten.sign.default: _sign,
}
"""The same values by operations that torch can derive, or that have a derivative which says something: what is left of
writing into a tensor has none, and that of rounding is 0."""
_ABOVE = (aten.ge.Scalar, aten.gt.Scalar)
_COMPARISONS = (*_ABOVE, aten.le.Scalar, aten.lt.Scalar)
_CHOICES = (aten.where.self, aten.where.Scalar, aten.where.ScalarSelf, aten.where.ScalarOther)
"""`where(x >= 0, a, -a)`, with which a sign is written that is +1 at zero."""
