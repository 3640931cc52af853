"""AdaMax whose multiplications are shifts, for binary networks.

Source: arXiv 1602.02830, algorithm 4 (AdaMax: Kingma & Ba, arXiv 1412.6980, algorithm 2). With AP2 the nearest power of
two: `m = b1 m + (1 - b1) g`, `v = max(b2 v, |g|)`, `w -= AP2(lr / (1 - b1^t)) m / AP2(v)`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from qdiag.numerics.shift_batchnorm import ap2

BETAS = (1.0 - 2.0**-3, 1.0 - 2.0**-10)
"""Of the source."""


class ShiftAdaMax(Optimizer):
    """See the module.

    Args:
        lr: 2^-10 in the source. betas: of m and of v. weight_decay: times the parameter, added to the gradient.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float = 2.0**-10,
        betas: tuple[float, float] = BETAS,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        del closure
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["m"], state["v"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        first, second = group["betas"]
        gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])  # type: ignore[union-attr]
        state["m"].mul_(first).add_(gradient, alpha=1.0 - first)
        torch.maximum(state["v"] * second, gradient.abs(), out=state["v"])
        rate = ap2(torch.tensor(group["lr"] / (1.0 - first ** state["step"]))).item()
        moved = torch.where(state["v"] > 0.0, state["m"] / ap2(state["v"]), 0.0)
        parameter.sub_(moved, alpha=rate)
