"""Scale and zero point: what turns real numbers into integers and back."""

from dataclasses import dataclass

import torch
from torch import Tensor

from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError


@dataclass(frozen=True)
class QParams:
    """Parameters of one quantizer.

    Attributes:
        scale: step in real units, float32, shape () per tensor, (C,) per channel, (C, G) per group.
        zero_point: integer that stands for 0.0, held in float32, same shape.
        quant_min, quant_max: the integer range.
        channel_axis: axis of C; None per tensor.
        group_size: weights per group, along the flattened rest of a channel; None otherwise.

    Raises:
        CalibrationError: a scale is zero, negative or not finite.
    """

    scale: Tensor
    zero_point: Tensor
    quant_min: int
    quant_max: int
    channel_axis: int | None = None
    group_size: int | None = None

    def __post_init__(self) -> None:
        if not bool(((self.scale > 0) & torch.isfinite(self.scale)).all()):
            raise CalibrationError("a scale is zero, negative or not finite")

    @property
    def granularity(self) -> str:
        if self.channel_axis is None:
            return "per_tensor"
        return "per_channel" if self.group_size is None else "per_group"

    @property
    def range_min(self) -> float:
        """Lowest real value that can be represented (per tensor)."""
        return (self.quant_min - float(self.zero_point)) * float(self.scale)

    @property
    def range_max(self) -> float:
        """Highest real value that can be represented (per tensor)."""
        return (self.quant_max - float(self.zero_point)) * float(self.scale)

    def to(self, device: torch.device) -> "QParams":
        """The same parameters on another device."""
        return QParams(
            self.scale.to(device),
            self.zero_point.to(device),
            self.quant_min,
            self.quant_max,
            self.channel_axis,
            self.group_size,
        )


def qparams_from_range(
    low: Tensor,
    high: Tensor,
    scheme: TensorScheme,
    *,
    channel_axis: int | None = None,
) -> QParams:
    """Scale and zero point of a range (arXiv 1712.05877, section 3).

    The range is first widened to hold 0, so that zero padding and ReLU's zero are exact. Affine:
    `scale = (high - low) / (quant_max - quant_min)`, `zero_point = round(quant_min - low / scale)`. Symmetric:
    `zero_point = 0`, `scale = 2 max|x| / (quant_max - quant_min)`: max|x| / 127 for [-127, 127] (onnxruntime, TFLite),
    max|x| / 127.5 for [-128, 127] (torch). A range of width zero has scale 1.

    Args:
        low, high: shape () per tensor, (C,) per channel, (C, G) per group.

    Raises:
        CalibrationError: a bound is NaN or infinite.
    """
    if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
        raise CalibrationError("the range is not finite")
    # float64 keeps high - low finite for any pair of float32; backends store the scale in float32
    low, high = low.double().clamp(max=0.0), high.double().clamp(min=0.0)
    if scheme.symmetric:
        largest = torch.maximum(-low, high) if scheme.signed else high
        width = 2 * largest if scheme.signed else largest
        scale = width / (scheme.quant_max - scheme.quant_min)
    else:
        scale = (high - low) / (scheme.quant_max - scheme.quant_min)
    tiny = torch.finfo(torch.float32).tiny
    scale = torch.where(scale < tiny, torch.ones_like(scale), scale).float()
    if scheme.symmetric:
        zero_point = torch.zeros_like(scale)
    else:
        zero_point = torch.round(scheme.quant_min - low / scale.double())
        zero_point = zero_point.clamp(scheme.quant_min, scheme.quant_max).float()
    return QParams(scale, zero_point, scheme.quant_min, scheme.quant_max, channel_axis, scheme.group_size)
