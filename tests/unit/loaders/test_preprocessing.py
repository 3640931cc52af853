"""Presets against formulas written separately in numpy; geometry against Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image

from qdiag.errors import ConfigError, DataError
from qdiag.loaders.images.preprocessing import PRESETS, Preprocessing, preset

RNG = np.random.default_rng(0)


def photo(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def chw(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float64).transpose(2, 0, 1)


def per_channel(values: list[float]) -> np.ndarray:
    return np.array(values).reshape(3, 1, 1)


IMAGENET = per_channel([0.485, 0.456, 0.406]), per_channel([0.229, 0.224, 0.225])
CIFAR10 = per_channel([0.4914, 0.4822, 0.4465]), per_channel([0.2023, 0.1994, 0.2010])

FORMULAS = {
    "none": lambda x: x / 255,
    "imagenet-stats": lambda x: (x / 255 - IMAGENET[0]) / IMAGENET[1],
    "tf": lambda x: x / 127.5 - 1,
    "caffe": lambda x: x[::-1] - per_channel([103.939, 116.779, 123.68]),
    "cifar10": lambda x: (x / 255 - CIFAR10[0]) / CIFAR10[1],
}


@pytest.mark.parametrize("name", FORMULAS)
def test_preset_values(name: str) -> None:
    image = photo(24, 31)
    result = PRESETS[name].apply(image)
    assert result.dtype == torch.float32 and result.shape == (3, 24, 31) and result.is_contiguous()
    np.testing.assert_allclose(result.numpy(), FORMULAS[name](chw(image)), rtol=2e-6, atol=8e-6)


def test_none_is_bit_for_bit_a_division_by_255() -> None:
    every_value = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    expected = torch.from_numpy(every_value).permute(2, 0, 1).float() / 255
    assert torch.equal(PRESETS["none"].apply(every_value), expected)


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (257, 511), (256, 256)])
def test_imagenet_resizes_the_shorter_side_like_pillow_and_crops_the_centre(height: int, width: int) -> None:
    image = Image.fromarray(photo(height, width))
    short = min(height, width)
    size = (int(256 * width / short), int(256 * height / short))
    resized = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    top, left = round((size[1] - 224) / 2), round((size[0] - 224) / 2)
    expected = (chw(resized[top : top + 224, left : left + 224]) / 255 - IMAGENET[0]) / IMAGENET[1]
    result = PRESETS["imagenet"].apply(image)
    np.testing.assert_allclose(result.numpy(), expected, rtol=2e-6, atol=2e-6)


def test_resize_alone_keeps_the_aspect_ratio() -> None:
    how = Preprocessing(resize=20)
    assert tuple(how.apply(photo(40, 61)).shape) == (3, 20, 30)


@pytest.mark.parametrize("name", PRESETS)
def test_a_batch_equals_its_images(name: str) -> None:
    images = RNG.integers(0, 256, (3, 260, 280, 3), dtype=np.uint8)
    how = PRESETS[name]
    assert torch.equal(how.apply_batch(images), torch.stack([how.apply(image) for image in images]))


@pytest.mark.parametrize("name", PRESETS)
def test_floats_from_0_to_255_equal_the_pixels(name: str) -> None:
    images = RNG.integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    how = PRESETS[name]
    assert torch.allclose(how.apply_batch(images.astype(np.float32)), how.apply_batch(images), atol=1e-5)


def test_stored_pixels_stay_as_they_are() -> None:
    images = RNG.integers(0, 256, (2, 8, 8, 1), dtype=np.uint8).astype(np.float32)
    before = images.copy()
    PRESETS["tf"].apply_batch(images)
    assert np.array_equal(images, before)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_8_bit_mode_becomes_rgb_or_grey(mode: str) -> None:
    image = Image.fromarray(photo(12, 12)).convert(mode)
    assert np.array_equal(PRESETS["none"].pixels(image), np.asarray(image.convert("RGB")))
    assert PRESETS["none"].override(channels=1).apply(image).shape == (1, 12, 12)


def test_grey_batches_equal_pillow() -> None:
    images = RNG.integers(0, 256, (2, 9, 9, 3), dtype=np.uint8)
    how = Preprocessing(channels=1)
    assert torch.equal(how.apply_batch(images), torch.stack([how.apply(Image.fromarray(image)) for image in images]))


def test_alpha_is_dropped_and_grey_repeated_only_when_asked() -> None:
    rgba = RNG.integers(0, 256, (2, 9, 9, 4), dtype=np.uint8)
    grey = RNG.integers(0, 256, (2, 9, 9, 1), dtype=np.uint8)
    assert torch.equal(Preprocessing().apply_batch(rgba), Preprocessing().apply_batch(rgba[..., :3]))
    assert Preprocessing().apply_batch(grey).shape[1] == 1
    assert Preprocessing(channels=3).apply_batch(grey).shape[1] == 3


def test_16_bit_images_are_refused_rather_than_clipped() -> None:
    image = Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16))
    with pytest.raises(DataError, match="more than 8 bits"):
        Preprocessing().apply(image)


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(DataError, match="a crop of 224 does not fit into 32x48") as refusal:
        Preprocessing(crop=224).apply(photo(32, 48))
    assert "resize" in (refusal.value.hint or "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crop": 0}, "crop = 0"),
        ({"resize": -1}, "resize = -1"),
        ({"resize": 100, "crop": 224}, "crop = 224 is larger than resize = 100"),
        ({"scale": 0.0}, "scale = 0"),
        ({"mean": (0.5, 0.5)}, "mean`: 2 values are given"),
        ({"mean": (123.68, 116.779, 103.939)}, "lies outside the scaled pixels, 0 to 1"),
        ({"std": (58.4, 57.1, 57.4)}, "lies outside the scaled pixels, 0 to 1"),
        ({"std": (0.5, 0.0, 0.5)}, r"holds a number that is not positive"),
        ({"mean": (float("nan"),)}, "mean"),
        ({"channel_order": "grb"}, "channel_order = grb"),
        ({"interpolation": "area"}, "interpolation = area"),
        ({"channels": 2}, "channels = 2"),
        ({"channels": 1, "mean": (0.1, 0.2, 0.3)}, "mean`: 3 values are given"),
        ({"corp": 224}, "unknown preprocessing field 'corp'"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Preprocessing().override(**changes)


def test_unknown_names_get_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError) as refusal:
        preset("imagnet")
    assert refusal.value.hint == "did you mean imagenet?"
    with pytest.raises(ConfigError) as refusal:
        Preprocessing().override(corp=224)
    assert refusal.value.hint == "did you mean crop?"


def test_three_means_do_not_fit_one_channel() -> None:
    with pytest.raises(DataError, match="`mean` has 3 values, and the images have 1 channel"):
        PRESETS["cifar10"].apply_batch(np.zeros((1, 4, 4, 1), dtype=np.uint8))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (PRESETS["none"], "RGB, /255"),
        (
            PRESETS["imagenet"],
            "resize 256, crop 224, RGB, /255, mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225)",
        ),
        (PRESETS["tf"].override(crop=224), "crop 224, RGB, /127.5, mean (1)"),
        (PRESETS["caffe"], "BGR, 0..255, mean (103.939, 116.779, 123.68)"),
        (Preprocessing(channels=1, resize=28, interpolation="bicubic"), "resize 28 (bicubic), grey, /255"),
    ],
)
def test_descriptions(how: Preprocessing, words: str) -> None:
    assert how.describe() == words


def test_two_preprocessings_never_share_a_description() -> None:
    assert len({how.describe() for how in PRESETS.values()}) == len(PRESETS)
