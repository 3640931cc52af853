"""One stored array, and how its values become an input of the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qdiag.errors import DataError
from qdiag.loaders.data.samples import Reading
from qdiag.loaders.images.preprocessing import Preprocessing

Layout = Literal["stored", "nhwc", "nchw", "nhw"]
_CHANNELS = (1, 3, 4)
_PIXEL_TOP_MIN = 16.0
"""A float array whose maximum is above 1 but not above this could be pixels or normalized values: refused."""


@dataclass(frozen=True)
class InputArray:
    """Samples (N, ...) of one input.

    Attributes:
        layout: axes of images; `stored`: values go to the network in the order they are stored.
        preprocessing: None: values are taken as stored.
        gain: multiplies stored values before the preprocessing (255 for floats from 0 to 1).
        description: all of this in words.
    """

    name: str
    values: NDArray[Any]
    layout: Layout
    preprocessing: Preprocessing | None
    gain: float
    description: str

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of stored pixels; None of values that are not preprocessed."""
        if self.preprocessing is None:
            return None
        height = 2 if self.layout == "nchw" else 1
        return self.values.shape[height], self.values.shape[height + 1]

    def tensor(self, indices: Sequence[int]) -> Tensor:
        """The samples of `indices`, as the network takes them."""
        values = self.values[np.asarray(indices, dtype=np.intp)]
        if self.preprocessing is None:
            order = (0, 3, 1, 2) if self.layout == "nhwc" else range(values.ndim)
            values = values.transpose(*order)
            kind = np.float32 if values.dtype.kind == "f" else values.dtype.newbyteorder("=")
            return torch.from_numpy(np.ascontiguousarray(values, dtype=kind))
        if self.layout == "nchw":
            values = values.transpose(0, 2, 3, 1)
        elif self.layout == "nhw":
            values = values[..., None]
        if values.dtype != np.uint8:
            values = values.astype(np.float32) * np.float32(self.gain)
        return self.preprocessing.apply_batch(values)


def open_input(name: str, values: NDArray[Any], reading: Reading) -> InputArray:
    """Decides how an array is read: uint8 arrays are pixels, everything else is taken as stored unless the user gave
    a preprocessing; then the values must be pixels from 0 to 1 or from 0 to 255.

    Raises:
        DataError: values that cannot be an input, or that could mean two things.
    """
    kind = values.dtype.kind
    if kind not in "fiub":
        raise DataError(f"values of type {values.dtype} cannot be an input", hint="store numbers")
    if values.dtype == np.uint8:
        layout = _image_layout(values.shape, reading)
        chosen = reading.image_preprocessing()
        return InputArray(name, values, layout, chosen, 1.0, f"{chosen.describe()}; stored {layout.upper()} uint8")
    if reading.preprocessing is None:
        return _as_stored(name, values, reading)
    layout = _image_layout(values.shape, reading)
    chosen = reading.image_preprocessing()
    gain = _gain(values)
    stored = f"stored {layout.upper()} {values.dtype}, {'0..1' if gain == 255.0 else '0..255'}"
    return InputArray(name, values, layout, chosen, gain, f"{chosen.describe()}; {stored}")


def _as_stored(name: str, values: NDArray[Any], reading: Reading) -> InputArray:
    if values.dtype in (np.uint16, np.uint32, np.uint64):
        raise DataError(
            f"values of type {values.dtype} are neither 8-bit pixels nor network inputs",
            hint="store uint8 pixels, float32 values or int64 indices",
        )
    expected = reading.input_shape
    is_nhwc = (
        expected is not None
        and values.ndim == len(expected) == 4
        and values.shape[1:] != expected[1:]
        and (values.shape[3], *values.shape[1:3]) == expected[1:]
    )
    words = "values as stored (taken as preprocessed already)"
    if is_nhwc:
        return InputArray(name, values, "nhwc", None, 1.0, f"{words}; stored NHWC {values.dtype}")
    return InputArray(name, values, "stored", None, 1.0, f"{words}; {values.dtype}")


def _image_layout(shape: tuple[int, ...], reading: Reading) -> Layout:
    """Where the channels are: the axis of 1, 3 or 4; `input_shape` decides when both could be."""
    if len(shape) == 3:
        return "nhw"
    if len(shape) != 4:
        raise DataError(
            f"an array of shape {shape} does not hold images",
            hint="images are (N, H, W), (N, H, W, C) or (N, C, H, W); other inputs are stored as float32 or int64",
        )
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    if first and last:
        expected = reading.input_shape
        if expected is not None and len(expected) == 4:
            first = shape[1:] == expected[1:] or (shape[1] == expected[1] and shape[3] != expected[1])
            last = not first
        else:
            raise DataError(
                f"shape {shape} could be (N, C, H, W) or (N, H, W, C)", hint="say which with `input_shape=1,C,H,W`"
            )
    if first:
        return "nchw"
    if last:
        return "nhwc"
    raise DataError(
        f"neither axis 1 nor axis 3 of shape {shape} has 1, 3 or 4 channels",
        hint="store such inputs as float32, preprocessed already",
    )


def _gain(values: NDArray[Any]) -> float:
    """255 for values from 0 to 1, 1 for values from 0 to 255, by the range of the whole array."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        rows = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
        raise DataError(
            f"there is NaN or Inf in sample {int(np.flatnonzero(rows)[0])}", hint="remove or repair such samples"
        )
    if low >= 0.0 and high <= 1.0:
        return 255.0
    if low >= 0.0 and _PIXEL_TOP_MIN < high <= 255.0:
        return 1.0
    raise DataError(
        f"values from {low:g} to {high:g} are neither pixels from 0 to 1 nor from 0 to 255, so the preprocessing "
        "cannot be applied",
        hint="leave the preprocessing out if the values are preprocessed already, or store uint8 pixels",
    )
