"""What a number format has to say of itself."""

from collections.abc import Hashable
from typing import Protocol

import torch
from torch import Tensor

Clamp = tuple[float, float]


class Quantizer(Protocol):
    """One number format with its numbers: per tensor, per channel or per group of weights."""

    @property
    def key(self) -> Hashable:
        """Equal for quantizers that round every tensor alike."""
        ...

    @property
    def granularity(self) -> str:
        """`per_tensor`, `per_channel` or `per_group`."""
        ...

    def fake_quantize(self, x: Tensor) -> Tensor:
        """The values that the backend would work with; a new tensor, shape of x."""
        ...

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        """The same on one chunk, per tensor; source and target may be the same tensor."""
        ...

    def covers(self, clamp: Clamp) -> bool:
        """Clamping first would change nothing: the values that this can represent end at or inside the bounds.

        This is why Conv + ReLU needs one quantizer, not two (arXiv 1712.05877, section 2.4). Per tensor.
        """
        ...

    @property
    def clip_bounds(self) -> tuple[float, float]:
        """Values beyond these are clipped rather than rounded; per tensor."""
        ...

    def to(self, device: torch.device) -> "Quantizer":
        """The same quantizer on another device."""
        ...
