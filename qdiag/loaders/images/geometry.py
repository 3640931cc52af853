"""What resizing and cropping an image does to its mask and to its boxes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from qdiag.loaders.images.pixels import centre_crop, shorter_side_size
from qdiag.loaders.images.preprocessing import Preprocessing


def moved_mask(mask: NDArray[Any], how: Preprocessing) -> NDArray[Any]:
    """Class numbers (H, W) resized to the nearest pixel and cropped, as their image is.

    Raises:
        DataError: the crop is larger than the mask.
    """
    if how.resize is not None:
        height, width = shorter_side_size(mask.shape[0], mask.shape[1], how.resize)
        mask = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    return np.ascontiguousarray(centre_crop(mask[None, ..., None], how.crop)[0, ..., 0])


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
