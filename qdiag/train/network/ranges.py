"""The range of one quantizer while the network is trained: fixed, followed, or learned."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from qdiag.core.tensor_scheme import TensorScheme
from qdiag.numerics.quantizers import QUANTIZERS
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer

_LEAST_SHARE = 2.0**-10
"""A learned step stays above this share of what it was at the beginning: an update must not turn it around."""


class Range(Protocol):
    """Where a quantizer gets its numbers from."""

    @property
    def quantizer(self) -> Quantizer:
        """As the range is now."""
        ...

    @property
    def bounds(self) -> tuple[float, float] | None:
        """What a scheme has to say as `range` to give this quantizer; None where it gives it anyway."""
        ...

    def follow(self, low: Tensor, high: Tensor) -> None:
        """The values of a batch lay from `low` to `high`, shape ()."""

    def state(self) -> dict[str, Tensor]:
        """The numbers that training changes."""
        ...


@dataclass(frozen=True)
class FixedRange:
    """A quantizer that does not change: the scheme gives its range, or it has none."""

    quantizer: Quantizer
    bounds: tuple[float, float] | None = None

    def follow(self, low: Tensor, high: Tensor) -> None:
        del low, high

    def state(self) -> dict[str, Tensor]:
        return {}


class FollowedRange:
    """The moving average of the smallest and largest value of each batch (arXiv 1712.05877, section 3.1).

    Args:
        low, high: where it begins. share: weight of a new batch.
    """

    def __init__(self, scheme: TensorScheme, low: float, high: float, share: float, device: torch.device) -> None:
        self._scheme, self._share = scheme, share
        self._low, self._high = torch.tensor(low, device=device), torch.tensor(high, device=device)

    @property
    def quantizer(self) -> Quantizer:
        return QUANTIZERS[self._scheme.type].from_range(self._low, self._high, self._scheme)

    @property
    def bounds(self) -> tuple[float, float] | None:
        low, high = shortest(min(float(self._low), 0.0)), shortest(max(float(self._high), 0.0))
        return (low, high) if low < high else None

    def follow(self, low: Tensor, high: Tensor) -> None:
        if bool(torch.isfinite(low) & torch.isfinite(high)):
            self._low.add_(self._share * (low - self._low))
            self._high.add_(self._share * (high - self._high))

    def state(self) -> dict[str, Tensor]:
        return {"low": self._low, "high": self._high}


class LearnedRange:
    """A step that is a parameter (arXiv 1902.08153); the zero point stays, and bounds are whole steps away from it.

    Args:
        start: the affine quantizer with which it begins; per tensor or per channel.

    Attributes:
        step: shape () or (C,).
    """

    def __init__(self, scheme: TensorScheme, start: Affine) -> None:
        self._scheme, self._start = scheme, start
        self.step = start.scale.detach().clone().requires_grad_()
        self._least = start.scale.detach() * _LEAST_SHARE

    @property
    def quantizer(self) -> Affine:
        low, high = self.ends()
        return Affine.from_range(low, high, self._scheme, channel_axis=self._start.channel_axis)

    @property
    def bounds(self) -> tuple[float, float]:
        """Per tensor."""
        low, high = (shortest(float(end)) for end in self.ends())
        return low, high

    @property
    def channel_bounds(self) -> tuple[tuple[float, float], ...]:
        """Per channel."""
        low, high = (map(shortest, end.tolist()) for end in self.ends())
        return tuple(zip(low, high, strict=True))

    def ends(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest value, in float32, from which the scheme makes the step again."""
        step = self.step.detach().double()
        width = self._start.quant_max - self._start.quant_min
        if self._scheme.symmetric and self._scheme.signed:
            high = step * width / 2.0
            return (-high).float(), high.float()
        zero_point = self._start.zero_point.double()
        low, high = (end - zero_point for end in (self._start.quant_min, self._start.quant_max))
        return (low * step).float(), (high * step).float()

    def follow(self, low: Tensor, high: Tensor) -> None:
        del low, high

    def settle(self) -> None:
        """Back to a step that there can be, after an update."""
        with torch.no_grad():
            self.step.copy_(torch.maximum(self.step, self._least))

    def state(self) -> dict[str, Tensor]:
        return {"step": self.step}


def shortest(x: float) -> float:
    """The number with the fewest digits that becomes the same float32."""
    return float(str(np.float32(x)))
