"""Real photographs and archives, where they are at hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.images.preprocessing import PRESETS, preset

pytestmark = pytest.mark.real


def test_the_imagenet_folder_keeps_its_split(real_data: Path) -> None:
    folder = real_data / "imagenet_val_600"
    request = DataRequest(
        str(folder), preprocessing=preset("tf").override(crop=224), input_shape=(1, 3, 224, 224), class_count=1000
    )
    datasets = open_datasets(request)
    assert datasets.split == "the split column of labels.csv: all 100 to calibrate, all 500 measured"
    assert datasets.evaluation.preprocessing == "crop 224, RGB, /127.5, mean (1)"
    batch = next(iter(datasets.evaluation))
    assert batch.args[0].shape == (16, 3, 224, 224)
    assert batch.labels is not None
    row = next(line for line in (folder / "labels.csv").read_text().splitlines() if line.startswith("eval/"))
    file, label = row.split(",")[:2]
    with Image.open(folder / file) as image:
        pixels = np.asarray(image.convert("RGB"))[2:226, 2:226]
    expected = pixels.astype(np.float32).transpose(2, 0, 1) / np.float32(127.5) - 1
    assert np.array_equal(batch.args[0][0].numpy(), expected) and int(batch.labels[0]) == int(label)


def test_all_real_images_decode_and_the_digest_is_stable(real_data: Path) -> None:
    request = DataRequest(str(real_data / "imagenet_val_600"), samples=48, batch_size=5)
    one, two = open_datasets(request).evaluation, open_datasets(request).evaluation
    assert one.digest() == two.digest()
    assert sum(batch.sample_count for batch in one) == 48
    assert all(torch.equal(a.args[0], b.args[0]) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(
    ("file", "how", "side", "classes"),
    [
        ("vww96_600.npz", None, 96, 2),
        ("cifar10_lossless200.npz", "imagenet-stats", 32, 10),
        ("cifar10_test2000.npz", "cifar10", 32, 10),
    ],
)
def test_real_archives(real_data: Path, file: str, how: str | None, side: int, classes: int) -> None:
    preprocessing = preset(how) if how else None
    datasets = open_datasets(
        DataRequest(
            str(real_data / file),
            preprocessing=preprocessing,
            samples=100,
            input_shape=(1, 3, side, side),
            class_count=classes,
        )
    )
    batches = list(datasets.evaluation)
    labels = torch.cat([batch.labels for batch in batches if batch.labels is not None])
    assert labels.unique().tolist() == list(range(classes))
    with np.load(real_data / file) as archive:
        images = archive["images"][[*datasets.evaluation.indices[:16]]]  # type: ignore[attr-defined]
    assert torch.equal(batches[0].args[0], (preprocessing or PRESETS["none"]).apply_batch(images))
