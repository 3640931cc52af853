"""Images: where they come from, how they are divided, and how they are changed in training."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from qdiag.demo_assets import demo_data_path
from qdiag.errors import DataError
from qdiag.reproduce.images import ChangedImages
from qdiag.reproduce.read_images import digits, images_of
from qdiag.train.plain.pixels import Pixels, as_input
from tests.unit.reproduce.sets import stripes


def test_the_digits_are_those_of_the_demo_at_half_their_size() -> None:
    found = digits()
    assert found.images.shape == (500, 3, 16, 16) and found.class_count == 10 and not found.mirrors
    with np.load(demo_data_path()) as stored:
        first = stored["calib_images"][0].astype(np.float64)
    halved = first.reshape(16, 2, 16, 2, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(found.images[0].numpy() - halved).max() <= 0.5


def test_a_seed_divides_all_images_into_parts_without_overlap() -> None:
    whole = digits()
    division = whole.divided(4)
    parts = [part.tolist() for part in (division.trained, division.judges, division.tested)]
    assert [len(part) for part in parts] == [240, 60, 200]
    assert sorted(place for part in parts for place in part) == list(range(500))
    assert whole.divided(4).tested.tolist() == parts[2] != whole.divided(5).tested.tolist()
    calibration = next(iter(division.datasets.calibration)).tensors[0]
    assert torch.equal(calibration[:5], as_input(whole.images[division.trained[:5]]))
    tested = torch.cat([batch.tensors[0] for batch in division.datasets.evaluation])
    assert torch.equal(tested, as_input(whole.images[division.tested]))


def test_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="12 images"):
        stripes(12).divided(0)


def test_only_images_in_colour_are_mirrored() -> None:
    assert stripes(in_colour=True).mirrors and not stripes().mirrors


def test_a_shift_moves_each_image_and_repeats_its_edge() -> None:
    images = torch.arange(4 * 3 * 5 * 5, dtype=torch.uint8).reshape(4, 3, 5, 5)
    pixels = Pixels(images, torch.arange(4), shift=1)
    padded = F.pad(images.float(), (1, 1, 1, 1), mode="replicate").to(torch.uint8)
    windows = [padded[:, :, top : top + 5, left : left + 5] for top in range(3) for left in range(3)]
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(30):
        changed = pixels.changed(images, generator)
        for index in range(4):
            matches = [place for place, window in enumerate(windows) if torch.equal(window[index], changed[index])]
            assert matches
            seen.update(matches)
    assert seen == set(range(9))


def test_mirrored_images_are_turned_left_to_right() -> None:
    images = torch.randint(0, 255, (64, 3, 4, 4), dtype=torch.uint8)
    changed = Pixels(images, torch.zeros(64), mirrors=True).changed(images, torch.Generator().manual_seed(1))
    turned = [torch.equal(a, b.flip(2)) for a, b in zip(changed, images, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(changed, images, strict=True)]
    assert all(a or b for a, b in zip(turned, same, strict=True)) and 16 < sum(turned) < 48


def test_every_pass_over_training_images_is_another_one_and_the_same_for_the_same_seed() -> None:
    division = stripes().divided(0)

    def passes(seed: int) -> list[torch.Tensor]:
        changed = ChangedImages(division.pixels, "stripes", seed, 8)
        return [torch.cat([batch.tensors[0] for batch in changed]) for _ in range(2)]

    first, second = passes(0)
    assert first.shape[0] == len(division.trained) and not torch.equal(first, second)
    again = passes(0)
    assert torch.equal(again[0], first) and torch.equal(again[1], second)
    assert not torch.equal(passes(1)[0], first)


def test_labelled_images_of_the_user_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (50, 8, 8, 1), dtype=np.uint8), rng.integers(0, 4, 50)
    labels[0] = 3
    np.savez(tmp_path / "own.npz", images=images, labels=labels)
    found = images_of(str(tmp_path / "own.npz"), 1000)
    assert found.source == "own.npz" and found.is_given and found.class_count == 4
    assert np.array_equal(found.images.numpy(), images.transpose(0, 3, 1, 2).repeat(3, 1))
    assert found.labels.tolist() == labels.tolist()
    half = images_of(str(tmp_path / "own.npz"), 1000, 4)
    assert half.images.shape == (50, 3, 4, 4) and half.resized == 4 and found.resized is None
    some = images_of(str(tmp_path / "own.npz"), 20)
    assert len(some.images) == 20 and torch.equal(some.images, images_of(str(tmp_path / "own.npz"), 20).images)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((30, 8, 8, 3), np.uint8)}, "no class numbers"),
        ({"x": np.zeros((30, 7), np.float32), "labels": np.zeros(30, np.int64)}, "no images|does not hold images"),
        ({"images": np.zeros((21, 300, 8, 3), np.uint8), "labels": np.zeros(21, np.int64)}, "300x8 pixels"),
        ({"images": np.zeros((30, 8, 8, 3), np.uint8), "labels": np.full(30, -1)}, "class number -1"),
    ],
)
def test_what_is_no_labelled_images_is_refused(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(DataError, match=message):
        images_of(str(tmp_path / "other.npz"), 1000)
