"""Scales and zero points of a file as quantizers, and its integers as the numbers that they stand for."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.errors import CalibrationError, LoadError
from qdiag.integer_file import StoredTensor
from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.model import Array, OnnxNode

INTEGERS = {
    np.dtype(np.uint8): (0, 255),
    np.dtype(np.int8): (-128, 127),
    np.dtype(np.uint16): (0, 65535),
    np.dtype(np.int16): (-32768, 32767),
    np.dtype(np.int32): (-(1 << 31), (1 << 31) - 1),
    np.dtype(np.int64): (-(1 << 63), (1 << 63) - 1),
}
"""Types that quantized tensors have here, and their ends."""
_FLOAT_DIGITS = 2.0**-20
_TYPES: Mapping[int, np.dtype[Any]] = {
    2: np.dtype(np.uint8),
    3: np.dtype(np.int8),
    4: np.dtype(np.uint16),
    5: np.dtype(np.int16),
}
"""By their numbers in ONNX, as `output_dtype` has them."""


def quantizer_of(node: OnnxNode, scale: Array | None, zero_point: Array | None, stored: Array | None) -> Affine:
    """The quantizer that a scale and a zero point make.

    Args:
        node: for messages, and for the axis of several scales. stored: the integers, where they are constants.

    Raises:
        LoadError: a scale that is computed or no positive number, blocks of scales, or integers of another type.
    """
    if scale is None:
        raise _refused(node, "its scale is computed by the network", "save the network with static quantization")
    given: np.dtype[Any] = _TYPES.get(int(node.attributes.get("output_dtype", 0)), np.dtype(np.uint8))
    dtype = next((array.dtype for array in (zero_point, stored) if array is not None), given)
    if dtype not in INTEGERS:
        raise _refused(node, f"it has integers of the type {dtype.name}", "int8, uint8, int16 and uint16 are read")
    scales = np.asarray(scale, np.float32)
    if scales.ndim > 1 or int(node.attributes.get("block_size", 0) or 0):
        raise _refused(node, "it has a scale for each block", "one scale for each tensor or channel is read")
    zeros: Array = np.zeros(scales.shape, np.float32) if zero_point is None else np.asarray(zero_point, np.float32)
    zeros = np.broadcast_to(zeros.reshape(-1) if zeros.size > 1 else zeros.reshape(()), scales.shape)
    low, high = INTEGERS[dtype]
    axis: int | None = int(node.attributes.get("axis", 1))
    if scales.size == 1:
        scales, zeros, axis = scales.reshape(()), zeros.reshape(()), None
    elif stored is not None and axis is not None:
        axis %= max(stored.ndim, 1)
    try:
        return Affine(
            *(_tensor(scales), _tensor(zeros), low, high, axis),
            is_symmetric=low < 0 and not bool(zeros.any()),
        )
    except CalibrationError as error:
        raise _refused(node, error.message, "the file cannot be run either: quantize it again") from error


def stored_tensor(node: OnnxNode, integers: Array, quantizer: Affine) -> StoredTensor:
    """A constant of the file.

    Raises:
        LoadError: it has not as many scales as channels.
    """
    axis = quantizer.channel_axis
    if axis is not None and (axis >= integers.ndim or integers.shape[axis] != quantizer.scale.numel()):
        raise _refused(node, f"{quantizer.scale.numel()} scales for a tensor of shape {integers.shape}", "")
    return StoredTensor(torch.from_numpy(integers.astype(np.int64)), quantizer)


def values_of(stored: StoredTensor) -> Array:
    """`(q - zero_point) * scale` in float32: the difference exactly, the product rounded once."""
    axis, shape = stored.quantizer.channel_axis, [1] * stored.integers.ndim
    if axis is not None:
        shape[axis] = -1
    zeros = stored.quantizer.zero_point.double().reshape(shape if axis is not None else ())
    scales = stored.quantizer.scale.double().reshape(shape if axis is not None else ())
    values: Array = ((stored.integers.double() - zeros) * scales).float().numpy()
    return values


def integers_of(values: Array, quantizer: Affine) -> Array:
    """What a `QuantizeLinear` makes of a constant: division and rounding half to even, in float32."""
    found: Array = quantizer.quantize(torch.from_numpy(np.array(values, np.float32))).numpy()
    return found


def is_same(one: Affine, other: Affine) -> bool:
    """They round every tensor alike."""
    return one.key == other.key


def holds_all(one: Affine, other: Affine) -> bool:
    """It has all numbers of another one, so that it leaves them as they are; true of itself."""
    if one.key == other.key:
        return True
    if one.channel_axis is not None or other.channel_axis is not None or not torch.equal(one.scale, other.scale):
        return False
    ends = [(q.quant_min - float(q.zero_point), q.quant_max - float(q.zero_point)) for q in (one, other)]
    return ends[0][0] <= ends[1][0] and ends[0][1] >= ends[1][1]


def ends_at_zero(quantizer: Affine) -> bool:
    """Its lowest integer stands for 0, so that whatever is negative becomes 0."""
    return quantizer.zero_point.numel() == 1 and math.isclose(float(quantizer.zero_point), quantizer.quant_min)


def ends_at(quantizer: Affine, highest: float) -> bool:
    """Its highest integer stands for this number, up to the digits of a float32."""
    if quantizer.scale.numel() != 1 or quantizer.zero_point.numel() != 1:
        return False
    end = (quantizer.quant_max - float(quantizer.zero_point)) * float(quantizer.scale)
    return math.isclose(end, highest, rel_tol=_FLOAT_DIGITS)


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def _refused(node: OnnxNode, what: str, hint: str) -> LoadError:
    return LoadError(f"{node.op} {node.name}: {what}", hint=hint or "the file is damaged; quantize it again")
