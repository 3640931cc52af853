"""Where operators compute: on tensors at once, or recorded as a graph (`recorder.py`)."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.onnx.model import Array
from qdiag.onnx.values import DTYPES, Handle, Known, Size, Value


class Scope(ABC):
    """What an operator may ask for; operators are written against it alone."""

    @abstractmethod
    def call(self, target: Any, *args: Any, **kwargs: Any) -> Handle:
        """One ATen operation; arguments are handles, numbers, sizes and lists of them."""

    @abstractmethod
    def pick(self, results: Handle, index: int) -> Handle:
        """One of several results of an operation."""

    @abstractmethod
    def parameter(self, name: str) -> Handle:
        """A parameter or buffer of the network."""

    @abstractmethod
    def constant(self, array: Array) -> Handle:
        """A constant as a tensor."""

    @abstractmethod
    def value(self, handle: Handle) -> Tensor:
        """The tensor, or one that has its shape and type."""

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """Inside, a node of this name is computed."""
        del name
        yield

    def made(self, name: str, value: Value) -> None:
        """A value of the network has this name."""
        del name, value

    def shape(self, handle: Value) -> tuple[Size, ...]:
        """Sizes; those of the batch axis may be symbolic."""
        return handle.array.shape if isinstance(handle, Known) else tuple(self.value(handle).shape)

    def rank(self, handle: Value) -> int:
        """How many axes it has."""
        return len(self.shape(handle))

    def dtype(self, handle: Value) -> torch.dtype:
        """Type of its elements."""
        if isinstance(handle, Known):
            return torch.int64 if handle.is_symbolic else DTYPES[handle.array.dtype]
        return self.value(handle).dtype

    def tensor(self, value: Value) -> Handle:
        """A value as a tensor, whatever it is."""
        if not isinstance(value, Known):
            return value
        if not value.is_symbolic:
            return self.constant(value.array)
        parts = [self.call(torch.ops.aten.full.default, [1], item, dtype=torch.int64) for item in value.array.flat]
        joined = self.call(torch.ops.aten.cat.default, parts, 0)
        return self.call(torch.ops.aten.reshape.default, joined, list(value.array.shape))


class Eager(Scope):
    """Computes on tensors.

    Args:
        parameters: by name. device: where constants go.
    """

    def __init__(self, parameters: Mapping[str, Tensor], device: torch.device | None = None) -> None:
        self._parameters = parameters
        self._device = device

    def call(self, target: Any, *args: Any, **kwargs: Any) -> Handle:
        if self._device is not None and "dtype" in kwargs:
            kwargs["device"] = self._device
        result: Handle = target(*args, **kwargs)
        return result

    def pick(self, results: Handle, index: int) -> Handle:
        return results[index]  # type: ignore[index]

    def parameter(self, name: str) -> Handle:
        return self._parameters[name]

    def constant(self, array: Array) -> Handle:
        return to_tensor(array).to(self._device) if self._device is not None else to_tensor(array)

    def value(self, handle: Handle) -> Tensor:
        assert isinstance(handle, Tensor)
        return handle


def to_tensor(array: Array) -> Tensor:
    """A copy of an array, with floats as float32."""
    array = np.asarray(array)
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int64)
    return torch.from_numpy(np.array(array, order="C")).to(DTYPES.get(array.dtype, torch.int64))
