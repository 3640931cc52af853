"""Values while a network is run or recorded: what is known beforehand, and what depends on data."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, fx

from qdiag.onnx.model import Array
from qdiag.onnx.samples import Samples

Size: TypeAlias = int | Samples
Handle: TypeAlias = Tensor | fx.Node
"""A tensor that is computed, or the node that stands for it in a graph that is being recorded."""


@dataclass(frozen=True)
class Known:
    """A value that does not depend on data: a constant, or sizes.

    Attributes:
        array: numbers; of type object where some of them depend on the number of samples.
    """

    array: Array

    @property
    def is_symbolic(self) -> bool:
        return self.array.dtype == object


Value: TypeAlias = Known | Handle

DTYPES: dict[Any, torch.dtype] = {
    np.dtype(np.float32): torch.float32,
    np.dtype(np.float64): torch.float32,
    np.dtype(np.float16): torch.float32,
    np.dtype(np.int64): torch.int64,
    np.dtype(np.int32): torch.int32,
    np.dtype(np.int16): torch.int16,
    np.dtype(np.int8): torch.int8,
    np.dtype(np.uint8): torch.uint8,
    np.dtype(np.bool_): torch.bool,
}
"""Types of elements; the reference computes in float32, whatever float type the file has."""


def sizes_known(sizes: "list[Size] | tuple[Size, ...]") -> Known:
    """Sizes as a vector."""
    if all(isinstance(size, int) for size in sizes):
        return Known(np.asarray([int(size) for size in sizes], dtype=np.int64))
    array = np.empty(len(sizes), dtype=object)
    array[:] = list(sizes)
    return Known(array)


def simplified(array: Array) -> Known:
    """A result of arithmetic on sizes: plain numbers where none depends on the number of samples."""
    if array.dtype == object and not any(isinstance(item, Samples) for item in array.flat):
        kind = np.bool_ if all(isinstance(item, bool | np.bool_) for item in array.flat) and array.size else np.int64
        floats = any(isinstance(item, float | np.floating) for item in array.flat)
        return Known(array.astype(np.float32 if floats else kind))
    return Known(array)
