"""What resizing and cropping an image does to its mask and to its boxes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qdiag.loaders.images.pixels import centre_crop, shorter_side_size
from qdiag.loaders.images.preprocessing import Preprocessing
from qdiag.targets import kind_of_targets


def moved_mask(mask: NDArray[Any], how: Preprocessing) -> NDArray[Any]:
    """Class numbers (H, W) resized to the nearest pixel and cropped, as their image is.

    Raises:
        DataError: the crop is larger than the mask.
    """
    if how.resize is not None:
        height, width = shorter_side_size(mask.shape[0], mask.shape[1], how.resize)
        mask = mask[_nearest(mask.shape[0], height)][:, _nearest(mask.shape[1], width)]
    return np.ascontiguousarray(centre_crop(mask[None, ..., None], how.crop)[0, ..., 0])


def _nearest(stored: int, wanted: int) -> NDArray[Any]:
    """The stored pixel under the centre of each wanted one, as in Pillow's NEAREST, which takes few types."""
    return (2 * np.arange(wanted) + 1) * stored // (2 * wanted)


def moved_targets(targets: Any, height: int, width: int, how: Preprocessing) -> Any:
    """Masks and boxes of stored images of one size, as `how` moves these; a mask has their size. Other targets, floats
    among them, stay as they are.

    Raises:
        DataError: the crop is larger than the images.
    """
    if how.resize is None and how.crop is None:
        return targets
    if isinstance(targets, Mapping):
        return {name: moved_targets(branch, height, width, how) for name, branch in targets.items()}
    if isinstance(targets, tuple):
        return tuple(moved_targets(branch, height, width, how) for branch in targets)
    kind = kind_of_targets(targets)
    if kind == "boxes":
        return [moved_boxes(entry, height, width, how) for entry in targets]
    if kind != "mask" or targets.shape[2 if targets.ndim == 4 else 1 :] != (height, width):
        return targets
    masks = targets.reshape(-1, height, width).numpy()
    moved = torch.from_numpy(np.stack([moved_mask(mask, how) for mask in masks]))
    return moved.reshape(*targets.shape[:-2], *moved.shape[1:])


def moved_boxes(entry: dict[str, Tensor], height: int, width: int, how: Preprocessing) -> dict[str, Tensor]:
    """Boxes (M, 4) of x1, y1, x2, y2 in an image of `height` and `width`, in pixels of the preprocessed image.

    A crop cuts boxes off at its edges; boxes of which nothing is left are dropped, and with them their row of
    everything else that has one row per box.
    """
    boxes = entry["boxes"]
    if how.resize is not None:
        new_height, new_width = shorter_side_size(height, width, how.resize)
        boxes = boxes * boxes.new_tensor([new_width / width, new_height / height] * 2)
        height, width = new_height, new_width
    if how.crop is None:
        return {**entry, "boxes": boxes}
    top, left = round((height - how.crop) / 2), round((width - how.crop) / 2)
    boxes = (boxes - boxes.new_tensor([left, top, left, top])).clamp(0, how.crop)
    kept = torch.nonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))[:, 0]
    return {name: (boxes if name == "boxes" else rows)[kept] for name, rows in entry.items()}
