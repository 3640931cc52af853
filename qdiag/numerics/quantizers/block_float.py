"""Floating-point numbers in blocks: values that are multiplied and added together share a scale that they make.

Sources: OCP Microscaling Formats (MX) v1.0, section 6.3 (MXFP8, MXFP6, MXFP4: blocks of 32, scale E8M0); NVIDIA,
"Pretraining Large Language Models with NVFP4", arXiv 2509.25149, appendix C (blocks of 16, scale E4M3, times a float32
scale of the tensor).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from qdiag.core.formats.float_format import FLOAT_FORMATS, FloatFormat
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.scheme import TensorScheme
from qdiag.core.tensor_scheme import ScaleName
from qdiag.errors import CalibrationError
from qdiag.numerics.float_rounding import round_to_format
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.small_float import float_record

_E4M3 = FLOAT_FORMATS["e4m3"]
_LEAST, _MOST = -127, 127
"""Exponents of E8M0 (MX v1.0, section 5.4.1)."""


@dataclass(frozen=True, eq=False)
class BlockFloat(Quantizer):
    """Numbers of a floating-point format times a scale for each block.

    With s the scale of a block and t that of the tensor, a value x becomes `round(x / (s t)) s t`, and

    - `e8m0`: `s = 2^(floor(log2 max|x|) - e)` with e the exponent of the format's largest number, between 2^-127 and
      2^127; `t = 1`. Values up to twice that number are possible; those above the largest one become it.
    - `e4m3`: `s = round_e4m3(max|x| / (m t))` with m the format's largest number, 448 at most, and
      `t = (largest |x| of the tensor's range) / (448 m)`, a float32. A block whose s is 0 becomes 0.
    - `float32`: `s = max|x| / m`; `t = 1`.

    A block of zeros stays so. Infinities take no part in the maximum and become the largest number of their block; NaN
    stays NaN, and takes no part either.

    Attributes:
        element: the format. block_size: values of a block; the last one of a row may have fewer.
        scale_name: what the scale of a block is.
        tensor_scale: t. largest: largest |x| of the range, which the record is made for.
        channel_axis: of a weight, axis of its output channels; None for activations.
    """

    element: FloatFormat
    block_size: int
    scale_name: ScaleName
    tensor_scale: float
    largest: float
    channel_axis: int | None = None

    @classmethod
    def from_range(
        cls, low: Tensor, high: Tensor, scheme: TensorScheme, *, channel_axis: int | None = None
    ) -> "BlockFloat":
        """The range gives the scale of the tensor, where there is one; blocks find theirs by themselves."""
        if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
            raise CalibrationError("the range is not finite")
        element, largest = scheme.float_format, float(torch.maximum(low.abs(), high.abs()).max())
        tensor_scale = 1.0
        if scheme.scale_name == "e4m3" and largest > 0.0:
            wanted = largest / (_E4M3.largest * element.largest)
            tensor_scale = float(torch.tensor(max(wanted, torch.finfo(torch.float32).tiny)))
        assert scheme.group_size is not None, "checked by the scheme"
        return cls(element, scheme.group_size, scheme.scale_name, tensor_scale, largest, channel_axis)

    @property
    def group_size(self) -> int:
        return self.block_size

    @property
    def granularity(self) -> str:
        return "per_group"

    @cached_property
    def key(self) -> Hashable:
        numbers = (self.block_size, self.scale_name, self.tensor_scale, self.channel_axis)
        return ("block_float", self.element.name, *numbers)

    def fake_quantize(self, x: Tensor) -> Tensor:
        """A weight with blocks along its input channels; along the positions of the kernel where there is but one.

        Anything without an axis of output channels has blocks along its last axis.
        """
        if self.channel_axis is None or x.ndim < 2:
            return self.in_blocks(x, -1)
        rows = x.movedim(self.channel_axis, 0)
        if rows.shape[1] == 1 and rows.ndim > 2:
            return self.in_blocks(rows.flatten(1), -1).view(rows.shape).movedim(0, self.channel_axis)
        return self.in_blocks(rows, 1).movedim(0, self.channel_axis)

    def in_blocks(self, x: Tensor, axis: int) -> Tensor:
        """x with blocks along an axis; a new tensor, shape and type of x."""
        axis %= x.ndim
        if x.ndim == 4 and axis == 1 and x.is_contiguous(memory_format=torch.channels_last):
            return self.in_blocks(x.permute(0, 2, 3, 1), -1).permute(0, 3, 1, 2)  # as the values lie in memory
        length, missing = x.shape[axis], -x.shape[axis] % self.block_size
        padded = x.float()
        if missing:
            padded = torch.cat([padded, padded.new_zeros([*x.shape[:axis], missing, *x.shape[axis + 1 :]])], axis)
        blocks = padded.reshape([*x.shape[:axis], -1, self.block_size, *x.shape[axis + 1 :]])
        rounded = self._rounded(blocks, axis + 1).flatten(axis, axis + 1)
        return rounded.narrow(axis, 0, length).to(x.dtype)

    def read(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Blocks lie along the axes, one behind the other where there are several."""
        if len(axes) == 1:
            return self.in_blocks(x, axes[0])
        last = range(x.ndim - len(axes), x.ndim)
        rows = x.movedim(tuple(axes), tuple(last))
        return self.in_blocks(rows.flatten(last[0]), -1).view(rows.shape).movedim(tuple(last), tuple(axes))

    def fake_quantize_units(self, units: Tensor) -> Tensor:
        """Blocks as they lie along the last axis."""
        return self._rounded(units.float(), -1)

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        """One row of blocks."""
        target.copy_(self.in_blocks(source, -1))

    def _rows(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """How many rows of blocks a tensor has, and how many values a row."""
        length = shape[-1] if shape else 1
        if self.channel_axis is not None and len(shape) > 1:
            inputs, *kernel = [size for axis, size in enumerate(shape) if axis != self.channel_axis]
            length = math.prod(kernel) if inputs == 1 and kernel else inputs
        return (math.prod(shape) // length if length else 0), length

    def _rounded(self, blocks: Tensor, axis: int) -> Tensor:
        """The values of blocks, which lie along one axis."""
        largest = blocks.abs().nan_to_num_(0.0, 0.0, 0.0).amax(axis, keepdim=True)
        scale = self._scales(largest)
        scaled = torch.where(scale > 0.0, blocks / scale, torch.where(blocks.isnan(), blocks, 0.0))
        return round_to_format(scaled, self.element, saturates=True).mul_(scale)

    def _scales(self, largest: Tensor) -> Tensor:
        """The scale of each block, that of the tensor included, from its largest |x|; float32."""
        if self.scale_name == "e8m0":
            exponent = torch.frexp(largest).exponent - 1 - self.element.largest_exponent
            exponent = torch.where(largest > 0.0, exponent, _LEAST).clamp(_LEAST, _MOST)
            # put together from bits: no library function says that it is exact on every device
            bits = torch.where(exponent > _LEAST, (exponent + 127) << 23, 1 << 22)
            return bits.to(torch.int32).view(torch.float32)
        scale = largest / self.element.largest
        if self.scale_name == "float32":
            return scale
        return round_to_format(scale.div_(self.tensor_scale), _E4M3, saturates=True).mul_(self.tensor_scale)

    @property
    def clip_bounds(self) -> tuple[float, float]:
        """Nothing is clipped where every block makes its own scale; up to the scale of the tensor otherwise."""
        bound = self.largest if self.scale_name == "e4m3" and self.largest > 0.0 else math.inf
        return -bound, bound

    def record(self) -> QuantizerRecord:
        """Of the block that holds the largest value."""
        scale = float(self._scales(torch.tensor(self.largest)))
        return float_record("block_float", self.element, scale if scale > 0.0 else 1.0)

    def scale_bytes(self, shape: Sequence[int]) -> int:
        """One byte for a block, or four of a float32, and four for the scale of the tensor.

        The last block of a row has a scale too where it is not full: blocks lie as `fake_quantize` cuts them.
        """
        rows, length = self._rows(tuple(shape))
        block_count = rows * -(-length // self.block_size)
        return block_count * (4 if self.scale_name == "float32" else 1) + (4 if self.scale_name == "e4m3" else 0)

    def to(self, device: torch.device) -> "BlockFloat":
        del device  # it holds no tensor
        return self
