"""Channels, size and crop of images, in numpy and Pillow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qdiag.errors import DataError

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
PIXELS_MAX = 50_000_000
"""Of one image. Decoding a palette image takes about 35 bytes a pixel, so this is 1.8 GB."""
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes with more than 8 bits: converting them to RGB would clip at 255 without a word."""


def decoded(image: Image.Image, channels: int, resize: int | None, interpolation: str) -> NDArray[np.uint8]:
    """A Pillow image as (H, W, channels) uint8 in RGB or grey; alpha is dropped.

    Raises:
        DataError: more than 8 bits per channel, or more than `PIXELS_MAX` pixels.
    """
    if image.width * image.height > PIXELS_MAX:
        raise DataError(
            f"the image has {image.width}x{image.height} pixels (width x height), more than the {PIXELS_MAX:,} that "
            "are decoded",
            hint="store it smaller",
        )
    if image.mode in _DEEP_MODES:
        raise DataError(
            f"the image has more than 8 bits per channel (Pillow mode {image.mode})",
            hint="convert it to 8 bits, or store the pixels as a float32 array",
        )
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if channels == 1 else "RGB")
    if resize is not None:
        height, width = shorter_side_size(image.height, image.width, resize)
        image = image.resize((width, height), _RESAMPLING[interpolation])
    array = np.asarray(image, dtype=np.uint8)
    return array[..., None] if array.ndim == 2 else array


def shorter_side_size(height: int, width: int, resize: int) -> tuple[int, int]:
    """Height and width with the shorter side at `resize`; the longer is rounded down, as in torchvision's Resize."""
    if height <= width:
        return resize, int(resize * width / height)
    return int(resize * height / width), resize


def resized(images: NDArray[Any], resize: int, interpolation: str) -> NDArray[Any]:
    """Images (N, H, W, C), shorter side at `resize`: uint8 as Pillow resizes pictures, floats channel by channel."""
    height, width = shorter_side_size(images.shape[1], images.shape[2], resize)
    resampling = _RESAMPLING[interpolation]

    def plane(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(Image.fromarray(np.ascontiguousarray(values)).resize((width, height), resampling))

    planes = images if images.dtype == np.uint8 else images.astype(np.float32)
    channels = range(images.shape[-1])
    return np.stack([np.stack([plane(image[..., c]) for c in channels], axis=-1) for image in planes])


def centre_crop(images: NDArray[Any], crop: int | None) -> NDArray[Any]:
    """The middle `crop` x `crop` of images (N, H, W, C); an odd rest is shared out as in torchvision's CenterCrop.

    Raises:
        DataError: the crop is larger than the images.
    """
    if crop is None:
        return images
    height, width = images.shape[1:3]
    if crop > min(height, width):
        raise DataError(
            f"a crop of {crop} does not fit into {height}x{width} (height x width)",
            hint="use a smaller crop, or resize to at least the crop first",
        )
    top, left = round((height - crop) / 2), round((width - crop) / 2)
    return images[:, top : top + crop, left : left + crop]


def with_channels(images: NDArray[Any], channels: int | None) -> NDArray[Any]:
    """Images (N, H, W, 1, 3 or 4) with 1 or 3 channels; None drops alpha and keeps the rest."""
    if images.shape[-1] == 4:
        images = images[..., :3]
    if channels == 3 and images.shape[-1] == 1:
        return np.repeat(images, 3, axis=-1)
    if channels == 1 and images.shape[-1] == 3:
        return _grey(images)
    return images


def _grey(images: NDArray[Any]) -> NDArray[Any]:
    """ITU-R BT.601 luma, (N, H, W, 1); for uint8 the same integers as Pillow's mode L."""
    if images.dtype == np.uint8:
        wide = images.astype(np.uint32)
        luma = wide[..., 0] * 19595 + wide[..., 1] * 38470 + wide[..., 2] * 7471 + 0x8000
        return (luma >> 16).astype(np.uint8)[..., None]
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return (images.astype(np.float32) @ weights)[..., None]
