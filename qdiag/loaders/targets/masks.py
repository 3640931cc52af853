"""A folder of masks: one image of class numbers for every image, found by its name."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qdiag.errors import DataError
from qdiag.loaders.images.pixels import PIXELS_MAX

MASK_SUFFIXES = (".png", ".bmp", ".gif", ".pgm", ".tif", ".tiff")
"""Formats that keep every value; JPEG and WebP would change class numbers."""
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def mask_files(folder: Path, images: Sequence[str]) -> tuple[Path, ...]:
    """The mask of every image: at the same path below `folder` but for the suffix, else of the same stem.

    Raises:
        DataError: naming the first image without a mask, or with two.
    """
    by_path: dict[str, list[Path]] = {}
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in MASK_SUFFIXES and not path.name.startswith(".") and path.is_file():
            by_path.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
            by_stem.setdefault(path.stem, []).append(path)
    return tuple(_mask(image, by_path, by_stem, folder) for image in images)


def _mask(image: str, by_path: dict[str, list[Path]], by_stem: dict[str, list[Path]], folder: Path) -> Path:
    name = PurePosixPath(image)
    found = by_path.get(name.with_suffix("").as_posix()) or by_stem.get(name.stem) or []
    if not found:
        raise DataError(
            f"there is no mask for the image {image}",
            at=str(folder),
            hint=f"store a mask named {name.stem}.png for it (masks end in {', '.join(MASK_SUFFIXES)})",
        )
    if len(found) > 1:
        both = " and ".join(path.relative_to(folder).as_posix() for path in found[:2])
        raise DataError(
            f"two masks for the image {image}: {both}",
            at=str(folder),
            hint="keep one, or store masks in the same sub-folders as the images",
        )
    return found[0]


def class_numbers(image: Image.Image) -> NDArray[np.uint8] | NDArray[np.int32]:
    """A mask (H, W) as it is stored: indices of a palette, grey values, 0 and 1 of a bitmap; the colours of a palette
    are not looked at. Colours are taken where all three channels are equal.

    Raises:
        DataError: colours that are no class numbers, or more than `PIXELS_MAX` pixels.
    """
    if image.width * image.height > PIXELS_MAX:
        raise DataError(
            f"the mask has {image.width}x{image.height} pixels (width x height), more than the {PIXELS_MAX:,} that "
            "are decoded",
            hint="store it smaller",
        )
    if image.mode in ("1", "L", "P"):
        return np.asarray(image, dtype=np.uint8)
    if image.mode in _DEEP_MODES:
        return np.asarray(image, dtype=np.int32)
    channels = np.asarray(image)
    if image.mode == "RGB" and bool((channels == channels[..., :1]).all()):
        return np.ascontiguousarray(channels[..., 0])
    raise DataError(
        f"the mask holds colours (Pillow mode {image.mode}), no class numbers",
        hint="store one channel, whose values are the class numbers: grey, or with a palette",
    )
