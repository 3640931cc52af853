"""Calibration and measurement: who is drawn, in what order, and how it is told."""

from pathlib import Path

import numpy as np
import pytest
import torch

from qdiag.batches import Batches
from qdiag.errors import ConfigError
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.data.split import seeded_order
from qdiag.loaders.images.preprocessing import PRESETS


def numbered(path: Path, count: int) -> str:
    """Inputs whose only value is their own index, labelled by class in stored order."""
    values = np.arange(count, dtype=np.float32).reshape(count, 1)
    np.savez(path, inputs=values, labels=np.arange(count) * 10 // count)
    return str(path)


def members(batches: Batches) -> list[int]:
    return [int(value) for batch in batches for value in batch.args[0][:, 0]]


def test_one_set_is_divided_without_overlap_and_without_rest(tmp_path: Path) -> None:
    datasets = open_datasets(DataRequest(numbered(tmp_path / "a.npz", 1000)))
    calibration, evaluation = members(datasets.calibration), members(datasets.evaluation)
    assert len(calibration) == 128 and len(evaluation) == 872
    assert sorted(calibration + evaluation) == list(range(1000))
    assert evaluation == sorted(evaluation)
    assert datasets.split == "128 of 1000 samples to calibrate, 872 others measured, seed 0"


@pytest.mark.parametrize(("count", "calib_count"), [(8, 2), (9, 2), (100, 25), (512, 128), (2000, 128)])
def test_calibration_takes_a_quarter_at_most(tmp_path: Path, count: int, calib_count: int) -> None:
    datasets = open_datasets(DataRequest(numbered(tmp_path / "a.npz", count)))
    assert datasets.calibration.sample_count == calib_count
    assert datasets.evaluation.sample_count == count - calib_count


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_samples_do_both(tmp_path: Path, count: int) -> None:
    datasets = open_datasets(DataRequest(numbered(tmp_path / "a.npz", count)))
    assert sorted(members(datasets.calibration)) == members(datasets.evaluation) == list(range(count))
    assert datasets.split.startswith(f"fewer than 8 samples: {count} of {count} to calibrate")


@pytest.mark.parametrize("cap", [10, 50, 100])
def test_a_cap_draws_from_every_class(tmp_path: Path, cap: int) -> None:
    datasets = open_datasets(DataRequest(numbered(tmp_path / "a.npz", 1000), samples=cap, calib_samples=cap))
    for part in (datasets.calibration, datasets.evaluation):
        chosen = members(part)
        assert len(chosen) == cap and max(chosen) > 800 and min(chosen) < 200
        assert len({index // 100 for index in chosen}) >= 5


def test_a_larger_cap_only_adds_samples(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.npz", 300)
    few, many = (members(open_datasets(DataRequest(path, samples=cap)).evaluation) for cap in (20, 60))
    assert set(few) < set(many)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 5000])
def test_the_choice_does_not_depend_on_the_batch_size(tmp_path: Path, batch_size: int) -> None:
    path = numbered(tmp_path / "a.npz", 200)
    first, second = open_datasets(DataRequest(path)), open_datasets(DataRequest(path, batch_size=batch_size))
    assert members(first.calibration) == members(second.calibration)
    assert members(first.evaluation) == members(second.evaluation)
    assert first.evaluation.digest() == second.evaluation.digest()
    assert max(batch.sample_count for batch in second.evaluation) == min(batch_size, 150)


def test_the_seed_decides(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.npz", 200)
    zero, again, one = (open_datasets(DataRequest(path, seed=seed)) for seed in (0, 0, 1))
    assert members(zero.calibration) == members(again.calibration) != members(one.calibration)


def test_the_order_is_fixed_for_ever() -> None:
    assert seeded_order(12, seed=0) == [7, 4, 9, 10, 3, 8, 2, 6, 0, 5, 11, 1]
    assert sorted(seeded_order(100, seed=3)) == list(range(100))


def test_calibration_is_not_visited_class_by_class(tmp_path: Path) -> None:
    datasets = open_datasets(DataRequest(numbered(tmp_path / "a.npz", 400)))
    order = members(datasets.calibration)
    assert order != sorted(order)


def test_calibration_data_given_apart(tmp_path: Path) -> None:
    path, other = numbered(tmp_path / "a.npz", 50), numbered(tmp_path / "b.npz", 300)
    datasets = open_datasets(DataRequest(path, calib_data=other))
    assert datasets.split == "calibration data given apart: 128 of 300 to calibrate, all 50 measured, seed 0"
    assert members(datasets.evaluation) == list(range(50)) and max(members(datasets.calibration)) > 200


def test_the_same_data_twice_is_said(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.npz", 50)
    datasets = open_datasets(DataRequest(path, calib_data=path))
    assert datasets.split.endswith("so calibration samples are measured too")


def test_caps_apply_to_a_split_of_the_data(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.float32).reshape(60, 1)
    np.savez(tmp_path / "a.npz", calib_inputs=values[:20], eval_inputs=values[20:])
    datasets = open_datasets(DataRequest(str(tmp_path / "a.npz"), samples=10, calib_samples=5))
    assert datasets.split == "arrays named calib_... and eval_...: 5 of 20 to calibrate, 10 of 40 measured, seed 0"
    assert all(index < 20 for index in members(datasets.calibration))
    assert all(index >= 20 for index in members(datasets.evaluation))


def test_labels_follow_their_samples(tmp_path: Path) -> None:
    datasets = open_datasets(DataRequest(numbered(tmp_path / "a.npz", 200), samples=33))
    for part in (datasets.calibration, datasets.evaluation):
        for batch in part:
            assert batch.labels is not None
            assert torch.equal(batch.labels, (batch.args[0][:, 0] * 10 // 200).long())


def test_the_digest_knows_samples_labels_and_preprocessing(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 5, 6, 3), dtype=np.uint8)
    changed = pixels.copy()
    changed[3, 0, 0, 0] ^= 1

    def digest(images: np.ndarray, labels: list[int], preset: str = "none") -> str:
        np.savez(tmp_path / "a.npz", images=images, labels=labels)
        path = str(tmp_path / "a.npz")
        return open_datasets(DataRequest(path, calib_data=path, preprocessing=PRESETS[preset])).evaluation.digest()

    plain = digest(pixels, list(range(9)))
    assert plain == digest(pixels, list(range(9))) and len(plain) == 64
    assert plain != digest(changed, list(range(9)))
    assert plain != digest(pixels, [0, *range(8)])
    assert plain != digest(pixels, list(range(9)), "tf")


@pytest.mark.parametrize("option", ["samples", "calib_samples", "batch_size"])
def test_counts_start_at_one(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} = 0"):
        DataRequest("a.npz", **{option: 0})  # type: ignore[arg-type]
