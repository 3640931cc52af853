"""The other preprocessings that are tried, and samples read again with them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from qdiag.batches import Batches
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.preprocessing import preprocessing_of
from qdiag.loaders.data.arguments import with_arguments
from qdiag.loaders.data.reread import few_of, pixels_of
from qdiag.loaders.data.sources import DataRequest, batches_from, open_datasets
from qdiag.loaders.images.alternatives import Settings, alternatives
from qdiag.loaders.images.preprocessing import PRESETS, Preprocessing
from tests.networks.prepared import draw_pictures, save_folder

PICTURES = draw_pictures(24, seed=5)


def read_as(settings: Settings, now: dict[str, object]) -> Preprocessing:
    """What the command line makes of the settings; a preset or a scale replaces what was said, an order is added."""
    kept = now if settings[0][0] == "channel_order" else {k: v for k, v in now.items() if k in ("resize", "crop")}
    kinds = {"resize": int, "crop": int, "pixel_scale": float}
    options = {**kept, **{name: kinds.get(name, str)(value) for name, value in settings}}
    read = preprocessing_of(DataOptions("x", **options))  # type: ignore[arg-type]
    assert read is not None
    return read


@pytest.mark.parametrize(
    "now",
    [
        {"preset": "none"},
        {"preset": "imagenet"},
        {"preset": "caffe", "crop": 12},
        {"mean": "0.5", "std": "0.25", "resize": 20},
        {"channel_order": "bgr"},
    ],
    ids=str,
)
def test_the_options_that_are_proposed_give_what_was_tried(now: dict[str, object]) -> None:
    own = preprocessing_of(DataOptions("x", **now))  # type: ignore[arg-type]
    assert own is not None
    found = alternatives(own)
    assert len({*found.values(), own}) == len(found) + 1, "each is tried once, and none is the run's own"
    assert all((how.resize, how.crop) == (own.resize, own.crop) for how in found.values()), "size and crop stay"
    for settings, how in found.items():
        assert read_as(settings, now) == how
    assert own.override(channel_order="rgb" if own.channel_order == "bgr" else "bgr") in found.values()


def test_every_preset_is_among_them() -> None:
    found = alternatives(PRESETS["imagenet"])
    assert (("preset", "none"), ("resize", "256"), ("crop", "224")) in found
    assert (("preset", "imagenet"),) in alternatives(Preprocessing(resize=256, crop=224))
    assert not any(settings[0] == ("preset", "imagenet-stats") for settings in found)
    tried = {settings[0][1] for settings in alternatives(Preprocessing(mean=(0.3,)))}
    assert tried == {"none", "imagenet-stats", "tf", "caffe", "cifar10", "1", "bgr"}


def test_grey_images_get_what_has_one_channel() -> None:
    found = alternatives(Preprocessing(channels=1))
    assert list(found) == [(("preset", "tf"),), (("pixel_scale", "1"),)]


def stored(folder: Path, kind: str) -> tuple[Batches, Preprocessing | None]:
    how = PRESETS["none"]
    if kind == "folder":
        data = save_folder(PICTURES, folder / "pictures")
    else:
        data = folder / "pictures.npz"
        values = PICTURES.images if kind == "uint8" else (PICTURES.images / 255.0).astype(np.float32)
        np.savez(data, images=values.transpose(0, 3, 1, 2) if kind == "float" else values, labels=PICTURES.labels)
    request = DataRequest(str(data), preprocessing=None if kind == "float" else how, batch_size=5)
    return open_datasets(request).evaluation, None if kind == "float" else how


@pytest.mark.parametrize("kind", ["folder", "uint8", "float"])
def test_the_same_samples_prepared_otherwise(kind: str, tmp_path: Path) -> None:
    batches, now = stored(tmp_path, kind)
    pixels = pixels_of(batches)
    assert pixels is not None and pixels.now == now
    plain, other = few_of(batches, 10), few_of(batches, 10, PRESETS["tf"])
    assert plain is not None and other is not None
    assert plain.sample_count == other.sample_count == 10
    for first, second in zip(plain, other, strict=True):
        torch.testing.assert_close(second.args[0], first.args[0] * 2 - 1, atol=1e-6, rtol=0)
        assert first.labels is not None and second.labels is not None
        assert torch.equal(first.labels, second.labels)
    few = torch.cat([batch.labels for batch in plain if batch.labels is not None])
    assert len(set(few.tolist())) >= 5, "drawn from all of them, so that most classes are met"
    assert plain.digest() != other.digest()


def test_arguments_stay(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=PICTURES.images)
    datasets = with_arguments(open_datasets(DataRequest(str(tmp_path / "x.npz"))), ["gain=2"])
    few = few_of(datasets.evaluation, 4, PRESETS["tf"])
    assert few is not None
    assert [batch.kwargs["gain"] for batch in few] == [2]


def test_values_that_are_no_pixels_and_batches_from_elsewhere(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(9, 3, 8, 8)).astype(np.float32))
    normal = open_datasets(DataRequest(str(tmp_path / "x.npz"))).evaluation
    assert pixels_of(normal) is None
    assert few_of(normal, 4, PRESETS["tf"]) is None
    assert few_of(normal, 4) is not None
    made = batches_from([torch.rand(2, 3, 8, 8)])
    assert pixels_of(made) is None
    assert few_of(made, 1) is None
