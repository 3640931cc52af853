"""Binary numbers: the sign of a value, +1 or -1, with or without one magnitude for a tensor or a channel.

Sources: arXiv 1602.02830, equations 1 to 3 (the sign, drawn by a hard sigmoid or not); arXiv 1603.05279, equations 4 to
6 (the magnitude that has the least squared error, the mean of |weights|).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.layout import channel_means
from qdiag.numerics.quantizers.base import Quantizer


@dataclass(frozen=True, eq=False)
class Binary(Quantizer):
    """`alpha` where a value is 0 or more, `-alpha` below; NaN stays NaN.

    Attributes:
        alpha: float32, shape () per tensor, (C,) per channel; 1 where there is no scale.
        has_scale: False for plain signs.
        channel_axis: axis of C; None per tensor.
        centred_axis: a weight loses its mean along this axis, that of its input channels, and is clamped to [-1, 1],
            before its sign is taken; None takes the sign of the weight as it is.
        seed: +1 is drawn with the probability `clip((x + 1) / 2, 0, 1)`, the same draws for every tensor of the same
            shape; None takes the sign.
    """

    alpha: Tensor
    has_scale: bool = False
    channel_axis: int | None = None
    centred_axis: int | None = None
    seed: int | None = None

    @property
    def group_size(self) -> None:
        return None

    @classmethod
    def from_range(
        cls, low: Tensor, high: Tensor, scheme: TensorScheme, *, channel_axis: int | None = None
    ) -> "Binary":
        """Plain signs, whatever the range; `channel_axis` is left out, as all channels have the same values."""
        del channel_axis, scheme
        if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
            raise CalibrationError("the range is not finite")
        return cls(torch.ones((), device=low.device))

    @classmethod
    def from_weight(cls, weight: Tensor, scheme: TensorScheme, *, channel_axis: int) -> "Binary":
        """`alpha = E|W|` where the scheme has a scale, of the centred and clamped weight where it has that.

        A filter with one input channel is not centred: nothing but zeros would be left of it.
        """
        if not bool(torch.isfinite(weight).all()):
            raise CalibrationError("a weight is not finite")
        inputs = 1 - channel_axis if weight.ndim > 1 else None
        centred_axis = inputs if scheme.center and inputs is not None and weight.shape[inputs] > 1 else None
        if scheme.scale_name == "none":
            return cls(torch.ones((), device=weight.device), False, None, centred_axis, scheme.stochastic_seed)
        axis = channel_axis if scheme.granularity == "per_channel" else None
        alpha = channel_means(_centred(weight, centred_axis).abs(), axis).float()
        return cls(alpha, True, axis, centred_axis, scheme.stochastic_seed)

    @cached_property
    def key(self) -> Hashable:
        return ("binary", tuple(self.alpha.flatten().tolist()), self.channel_axis, self.centred_axis, self.seed)

    @cached_property
    def _plain_alpha(self) -> float:
        return float(self.alpha)

    def centred(self, x: Tensor) -> Tensor:
        """The values whose signs are taken: x, or centred and clamped."""
        return _centred(x, self.centred_axis)

    def fake_quantize(self, x: Tensor) -> Tensor:
        """The values that the backend would work with; a new tensor, shape of x."""
        if self.centred_axis is None and self.seed is None:
            return super().fake_quantize(x)
        return self.fake_quantize_units(_centred(x, self.centred_axis)).to(x.dtype)

    def fake_quantize_units(self, units: Tensor) -> Tensor:
        x = units.float()
        if self.seed is None:
            signs = torch.where(x >= 0.0, 1.0, -1.0)
        else:
            drawn = torch.rand(x.shape, generator=torch.Generator().manual_seed(self.seed)).to(x.device)
            signs = torch.where(drawn < ((x + 1.0) / 2.0).clamp(0.0, 1.0), 1.0, -1.0)
        return (signs * self.per_unit(self.alpha, x.ndim)).masked_fill_(x.isnan(), float("nan"))

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        above = torch.where(source >= 0.0, self._plain_alpha, source)
        target.copy_(torch.where(source < 0.0, -self._plain_alpha, above))

    @property
    def clip_bounds(self) -> tuple[float, float]:
        """No range is held that a value could leave."""
        return -float("inf"), float("inf")

    def record(self) -> QuantizerRecord:
        largest = max(float(self.alpha.max()), torch.finfo(torch.float32).tiny)
        return QuantizerRecord(
            *(1, True, None, None, None, None, -largest, largest),
            type="binary",
            levels=(-largest, largest),
            edges=(-float("inf"), 0.0, float("inf")),
        )

    def scale_bytes(self, shape: Sequence[int]) -> int:
        """A float32 for each magnitude; plain signs have none."""
        del shape
        return 4 * self.alpha.numel() if self.has_scale else 0

    def to(self, device: torch.device) -> "Binary":
        return replace(self, alpha=self.alpha.to(device))


def _centred(x: Tensor, axis: int | None) -> Tensor:
    """Less the mean along an axis, clamped to [-1, 1]; x itself without an axis."""
    if axis is None:
        return x
    exact = x.double()  # equal weights lose all of themselves, rather than a rounding error of either sign
    return (exact - exact.mean(axis, keepdim=True)).clamp(-1.0, 1.0).float()
