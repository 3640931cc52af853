"""The integers of a weight as a file has them, however they were rounded."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine


@dataclass(frozen=True, eq=False)
class StoredWeight(Affine):
    """Gives these integers whatever the float weight is: another writer may round otherwise than to the nearest.

    Attributes:
        integers: int32, shape of the weight.
    """

    integers: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int32))

    @cached_property
    def key(self) -> Hashable:
        return (*self.affine.key, id(self.integers))  # type: ignore[misc]

    @property
    def affine(self) -> Affine:
        """The same scales and zero points, which round to the nearest integer."""
        numbers = (self.scale, self.zero_point, self.quant_min, self.quant_max, self.channel_axis)
        return Affine(*numbers, is_symmetric=self.is_symmetric)

    def quantize(self, x: Tensor) -> Tensor:
        """The integers; shape of x, which is that of the weight."""
        return self.integers.to(x.device).reshape(x.shape)

    def fake_quantize(self, x: Tensor) -> Tensor:
        """What they stand for; shape of x, which is that of the weight."""
        return self.dequantize(self.quantize(x)).to(x.dtype)

    def to(self, device: torch.device) -> "StoredWeight":
        moved = {name: getattr(self, name).to(device) for name in ("scale", "zero_point", "integers")}
        return replace(self, **moved)
