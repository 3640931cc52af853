"""What a LiteRT file holds, as plain values: tensors, operators, inputs and outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LiteQuantization:
    """How the integers of a tensor stand for numbers: `scale (q - zero_point)`.

    Attributes:
        scales: float32, one or one for each channel. zero_points: as many.
        axis: of the channels, in the order of axes of the file.
    """

    scales: Array
    zero_points: Array
    axis: int


@dataclass(frozen=True)
class LiteTensor:
    """A value of the network.

    Attributes:
        name: as in the file; made unique, and made up where the file has none.
        shape: sizes, in the file's order of axes, which is (N, H, W, C) for images.
        is_free: which of the sizes may be others.
        dtype: of the elements.
        data: values of a constant; None for what is computed.
        quantization: None where the numbers stand for themselves.
    """

    name: str
    shape: tuple[int, ...]
    is_free: tuple[bool, ...]
    dtype: np.dtype[Any]
    data: Array | None
    quantization: LiteQuantization | None

    @property
    def floats(self) -> Array | None:
        """The constant as float32, with integers taken for the numbers that they stand for."""
        if self.data is None:
            return None
        if self.quantization is None:
            return self.data.astype(np.float32) if self.data.dtype.kind == "f" else self.data
        return dequantized(self.data, self.quantization)


@dataclass(frozen=True)
class LiteOperator:
    """One operation.

    Attributes:
        kind: `CONV_2D`, or `custom NAME`.
        inputs: places of tensors; -1 for one that is left out. outputs: places of tensors.
        options: numbers by the names of the schema.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class LiteGraph:
    """The main network of a file."""

    tensors: tuple[LiteTensor, ...]
    operators: tuple[LiteOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def __deepcopy__(self, memo: dict[int, Any]) -> "LiteGraph":
        del memo
        return self

    @property
    def is_quantized(self) -> bool:
        """Some tensor that is computed is stored in integers that stand for numbers."""
        return any(tensor.data is None and tensor.quantization is not None for tensor in self.tensors)


def dequantized(integers: Array, quantization: LiteQuantization) -> Array:
    """`scale (q - zero_point)` in float32, along the axis of the channels."""
    scales, zeros = quantization.scales.astype(np.float32), quantization.zero_points
    if scales.size > 1:
        shape = [1] * integers.ndim
        shape[quantization.axis] = scales.size
        scales, zeros = scales.reshape(shape), zeros.reshape(shape)
    shifted = integers.astype(np.int64) - zeros.astype(np.int64)
    return np.asarray(shifted.astype(np.float32) * scales, dtype=np.float32)
