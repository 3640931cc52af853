"""From the digits of the package, or from data of the user's, to images in memory."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from qdiag.demo_assets import demo_data_path
from qdiag.errors import DataError
from qdiag.loaders.data.checks import class_labels
from qdiag.loaders.data.samples import Reading, SampleSet
from qdiag.loaders.data.sources import read_stored
from qdiag.loaders.data.split import seeded_order
from qdiag.loaders.images.preprocessing import preset
from qdiag.reproduce.images import ImageSet

_SIDES_AT_MOST = 256
_READ_AT_ONCE = 256


def digits() -> ImageSet:
    """The 500 images of the demo, 16 x 16: the stored ones are scaled up from 8 x 8."""
    with np.load(demo_data_path()) as stored:
        images = np.concatenate([stored["calib_images"], stored["eval_images"]])
        labels = np.concatenate([stored["calib_labels"], stored["eval_labels"]])
    large = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    small = F.avg_pool2d(large, 2).round().to(torch.uint8)
    return _image_set("scikit-learn's digits, which come with qdiag", small, torch.from_numpy(labels), is_given=False)


def images_of(reference: str, at_most: int, resize: int | None = None) -> ImageSet:
    """Labelled images of any format that `--data` takes, some of them where there are more than `at_most`.

    Args:
        resize: their shorter side, where it is not to stay as it is stored.

    Raises:
        DataError: data that cannot be read, or that are no labelled images.
    """
    stored = read_stored(reference, Reading(preset("none").override(resize=resize)))
    parts = [part for part in (stored.samples, stored.calibration) if part is not None]
    total = sum(part.sample_count for part in parts)
    images, labels = list[Tensor](), list[Tensor]()
    for part in parts:
        chosen = _chosen(part.sample_count, max(1, round(at_most * part.sample_count / total)))
        found = [_pixels_and_labels(part, chosen, reference)]
        images += [pixels for pixels, _ in found]
        labels += [numbers for _, numbers in found]
    shapes = {tuple(part.shape[1:]) for part in images}
    if len(shapes) > 1:
        raise DataError("its two parts hold images of different sizes", at=reference, hint="give one set of images")
    return replace(_image_set(Path(reference).name, torch.cat(images), torch.cat(labels)), resized=resize)


def _chosen(count: int, wanted: int) -> list[int]:
    """Places of the images that are used, the same every time."""
    if wanted >= count:
        return list(range(count))
    return sorted(seeded_order(count, 0)[:wanted])


def _pixels_and_labels(samples: SampleSet, places: list[int], reference: str) -> tuple[Tensor, Tensor]:
    images, labels = list[Tensor](), list[Tensor]()
    for batch in samples.batches(places, _READ_AT_ONCE):
        inputs = batch.tensors[0]
        if inputs.ndim != 4 or inputs.shape[1] not in (1, 3) or len(batch.tensors) > 1:
            raise DataError(f"samples of shape {tuple(inputs.shape[1:])} are no images", at=reference)
        if max(inputs.shape[2:]) > _SIDES_AT_MOST:
            raise DataError(
                f"images of {inputs.shape[2]}x{inputs.shape[3]} pixels, more than the {_SIDES_AT_MOST} of a small "
                "experiment",
                at=reference,
                hint="store them smaller",
            )
        if not isinstance(batch.labels, Tensor):
            raise DataError("the images have no class numbers", at=reference, hint="give images with their labels")
        numbers = class_labels(batch.labels, at=reference)
        if numbers.dtype != torch.int64 or numbers.ndim != 1:
            raise DataError("the labels are no class numbers", at=reference, hint="give one whole number per image")
        images.append((inputs * 255.0).round().clamp(0, 255).to(torch.uint8))
        labels.append(numbers)
    return torch.cat(images), torch.cat(labels)


def _image_set(source: str, images: Tensor, labels: Tensor, *, is_given: bool = True) -> ImageSet:
    if int(labels.min()) < 0:
        raise DataError(f"class number {int(labels.min())}", at=source, hint="class numbers start at 0")
    images = images.expand(-1, 3, -1, -1).contiguous()
    digest = hashlib.sha256(f"{tuple(images.shape)}\n".encode())
    digest.update(images.numpy().data)
    digest.update(labels.numpy().data)
    shift = max(1, images.shape[2] // 16)
    return ImageSet(source, digest.hexdigest(), images, labels, int(labels.max()) + 1, is_given, shift)
