"""Arrays in four file formats: names, layouts, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from qdiag.batches import Batch
from qdiag.errors import DataError
from qdiag.loaders.data.samples import Reading
from qdiag.loaders.data.sources import DataRequest, open_datasets, read_stored
from qdiag.loaders.images.preprocessing import PRESETS, Preprocessing

RNG = np.random.default_rng(1)
PIXELS = RNG.integers(0, 256, (12, 6, 7, 3), dtype=np.uint8)
LABELS = np.arange(12) % 5


def write(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return str(path)


def everything(reference: str, reading: Reading | None = None) -> list[Batch]:
    samples = read_stored(reference, reading or Reading()).samples
    return list(samples.batches(range(samples.sample_count), 5))


def joined(batches: list[Batch]) -> torch.Tensor:
    return torch.cat([batch.args[0] for batch in batches])


def write_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, images=PIXELS, labels=LABELS)


def write_compressed(path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, X=PIXELS, Y=LABELS.astype(np.float64)[:, None])


def write_pt(path: Path) -> None:
    torch.save({"x": torch.from_numpy(PIXELS), "y": torch.from_numpy(LABELS)}, path)


def write_pair(path: Path) -> None:
    torch.save((torch.from_numpy(PIXELS), torch.from_numpy(LABELS)), path)


def write_legacy(path: Path) -> None:
    torch.save([torch.from_numpy(PIXELS), torch.from_numpy(LABELS)], path, _use_new_zipfile_serialization=False)


def write_safetensors(path: Path) -> None:
    save_file({"data": torch.from_numpy(PIXELS), "targets": torch.from_numpy(LABELS)}, path)


@pytest.mark.parametrize("writer", [write_npz, write_compressed, write_pt, write_pair, write_legacy, write_safetensors])
def test_formats_are_told_by_content(tmp_path: Path, writer) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "data.bin"
    writer(path)
    batches = everything(str(path))
    assert [batch.sample_count for batch in batches] == [5, 5, 2]
    assert torch.equal(joined(batches), PRESETS["none"].apply_batch(PIXELS))
    labels = torch.cat([batch.labels for batch in batches if batch.labels is not None])
    assert labels.dtype == torch.int64 and labels.tolist() == LABELS.tolist()


def test_npy_is_unlabelled_and_large_ones_are_mapped(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (40, 128, 128, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", images)
    (batch, *_) = everything(str(tmp_path / "a.npy"))
    assert batch.labels is None and torch.equal(batch.args[0], PRESETS["none"].apply_batch(images[:5]))


def test_nchw_is_told_from_nhwc_and_grey_from_both(tmp_path: Path) -> None:
    expected = PRESETS["none"].apply_batch(PIXELS)
    nchw = write(tmp_path / "a.npz", images=PIXELS.transpose(0, 3, 1, 2))
    assert torch.equal(joined(everything(nchw)), expected)
    assert "stored NCHW uint8" in read_stored(nchw, Reading()).samples.preprocessing
    nhw = write(tmp_path / "b.npz", images=PIXELS[..., 0])
    assert joined(everything(nhw)).shape == (12, 1, 6, 7)
    assert joined(everything(nhw, Reading(input_shape=(1, 3, 6, 7)))).shape == (12, 3, 6, 7)


def test_a_shape_that_could_be_both_needs_the_input_shape(tmp_path: Path) -> None:
    ambiguous = RNG.integers(0, 256, (9, 3, 8, 4), dtype=np.uint8)
    path = write(tmp_path / "a.npz", images=ambiguous)
    with pytest.raises(DataError, match=r"could be \(N, C, H, W\) or \(N, H, W, C\)"):
        everything(path)
    told = joined(everything(path, Reading(input_shape=(1, 3, 8, 4))))
    assert torch.equal(told, torch.from_numpy(ambiguous).float() / 255)


def test_rgba_arrays_lose_alpha(tmp_path: Path) -> None:
    rgba = RNG.integers(0, 256, (9, 8, 8, 4), dtype=np.uint8)
    assert torch.equal(
        joined(everything(write(tmp_path / "a.npz", images=rgba))), PRESETS["none"].apply_batch(rgba[..., :3])
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ">f4"])
def test_floats_are_taken_as_stored(tmp_path: Path, dtype: str) -> None:
    values = RNG.normal(size=(9, 3, 4, 4)).astype(dtype)
    path = write(tmp_path / "a.npz", images=values)
    result = joined(everything(path))
    assert result.dtype == torch.float32 and np.array_equal(result.numpy(), values.astype(np.float32))
    assert "as stored" in read_stored(path, Reading()).samples.preprocessing


def test_bfloat16_tensors_can_be_read(tmp_path: Path) -> None:
    values = torch.randn(9, 3, 4, 4, dtype=torch.bfloat16)
    save_file({"x": values}, tmp_path / "a.safetensors")
    assert torch.equal(joined(everything(str(tmp_path / "a.safetensors"))), values.float())


def test_integers_are_indices(tmp_path: Path) -> None:
    tokens = RNG.integers(0, 1000, (9, 16))
    result = joined(everything(write(tmp_path / "a.npz", inputs=tokens)))
    assert result.dtype == torch.int64 and np.array_equal(result.numpy(), tokens)


def test_channels_last_floats_follow_the_input_shape(tmp_path: Path) -> None:
    values = RNG.normal(size=(9, 5, 4, 3)).astype(np.float32)
    path = write(tmp_path / "a.npz", images=values)
    result = joined(everything(path, Reading(input_shape=(1, 3, 5, 4))))
    assert np.array_equal(result.numpy(), values.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_pixels_are_preprocessed_when_asked(tmp_path: Path, top: float) -> None:
    values = PIXELS.astype(np.float32) * np.float32(top / 255)
    path = write(tmp_path / "a.npz", images=values)
    result = joined(everything(path, Reading(PRESETS["cifar10"])))
    assert torch.allclose(result, PRESETS["cifar10"].apply_batch(PIXELS), atol=1e-5)
    assert ("0..1" if top == 1.0 else "0..255") in read_stored(path, Reading(PRESETS["cifar10"])).samples.preprocessing


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 2.6), (0.0, 300.0)])
def test_floats_that_are_no_pixels_refuse_a_preprocessing(tmp_path: Path, low: float, high: float) -> None:
    values = np.linspace(low, high, 9 * 75, dtype=np.float32).reshape(9, 3, 5, 5)
    with pytest.raises(DataError, match="neither pixels from 0 to 1 nor from 0 to 255"):
        everything(write(tmp_path / "a.npz", images=values), Reading(Preprocessing()))


def test_several_inputs_go_by_name(tmp_path: Path) -> None:
    left, mask = RNG.normal(size=(9, 4)).astype(np.float32), RNG.integers(0, 2, (9, 4)).astype(bool)
    path = write(tmp_path / "a.npz", tokens=left, mask=mask, pixels=PIXELS[:9], labels=LABELS[:9])
    (first, _) = everything(path, Reading(PRESETS["tf"]))
    assert first.args == () and list(first.kwargs) == ["tokens", "mask", "pixels"]
    assert first.kwargs["mask"].dtype == torch.bool
    assert np.array_equal(first.kwargs["tokens"].numpy(), left[:5])
    assert torch.equal(first.kwargs["pixels"], PRESETS["tf"].apply_batch(PIXELS[:5]))
    assert first.labels is not None and first.labels.tolist() == LABELS[:5].tolist()


def test_one_array_of_any_name_is_the_input_and_text_is_passed_over(tmp_path: Path) -> None:
    names = np.array([f"{i}.png" for i in range(9)])
    path = write(tmp_path / "a.npz", pictures=PIXELS[:9], names=names, classes=np.array(["cat", "dog"]))
    assert everything(path)[0].args[0].shape == (5, 3, 6, 7)


def test_known_names_win_over_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", images=PIXELS, weights=np.ones(3), labels=LABELS)
    stored = read_stored(path, Reading())
    assert stored.samples.source == f"{path} (images, labels; not used: weights)"


def test_calibration_and_evaluation_arrays_make_a_split(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.npz",
        calib_images=PIXELS[:4],
        calib_labels=LABELS[:4],
        eval_images=PIXELS[4:],
        eval_labels=LABELS[4:],
    )
    datasets = open_datasets(DataRequest(path))
    assert datasets.split == "arrays named calib_... and eval_...: all 4 to calibrate, all 8 measured"
    assert torch.equal(joined(list(datasets.evaluation)), PRESETS["none"].apply_batch(PIXELS[4:]))
    assert datasets.calibration.sample_count == 4


def test_plain_arrays_are_measured_beside_calibration_arrays(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", images=PIXELS, labels=LABELS, calib_images=PIXELS[:5])
    datasets = open_datasets(DataRequest(path))
    assert (datasets.calibration.sample_count, datasets.evaluation.sample_count) == (5, 12)
    assert datasets.evaluation.is_labelled and not datasets.calibration.is_labelled


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": PIXELS[:0]}, r"array images has no values: shape \(0, 6, 7, 3\)"),
        ({"images": np.float32(3.0)}, "array images is a single number"),
        ({"images": PIXELS, "labels": LABELS[:7]}, "7 labels for 12 samples"),
        ({"labels": LABELS}, "no array holds inputs"),
        ({"a": PIXELS, "b": LABELS[:3]}, "cannot tell which array holds the inputs: a, b"),
        ({"arr_0": PIXELS, "arr_1": LABELS}, "cannot tell which array holds the inputs"),
        ({"x": PIXELS, "X": PIXELS}, "both x and X could be the inputs"),
        ({"x": PIXELS, "y": LABELS, "labels": LABELS}, "both labels and y could be the labels"),
        ({"images": PIXELS, "eval_images": PIXELS}, "which are to be measured"),
        ({"images": PIXELS, "labels": np.array([["cat"]] * 12)}, "array labels of type <U3 holds no labels"),
        ({"images": PIXELS, "labels": LABELS.astype(complex)}, "array labels of type complex128 holds no labels"),
        ({"images": PIXELS.astype(np.complex64)}, "values of type complex64"),
        ({"images": PIXELS.astype(np.uint16)}, "values of type uint16"),
        ({"images": PIXELS[..., 0, 0]}, r"shape \(12, 6\) does not hold images"),
        ({"images": np.zeros((9, 5, 6, 7), np.uint8)}, "neither axis 1 nor axis 3"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    path = write(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=words) as refusal:
        open_datasets(DataRequest(path))
    assert refusal.value.at == path and refusal.value.hint


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS + 1, r"label 5 of images\[4\] is outside 0 to 4 \(and 1 more\)"),
        (np.where(LABELS == 2, -1, LABELS), r"label -1 of images\[2\] is outside 0 to 4"),
        (LABELS + 0.5, r"label 0.5 of images\[0\] is no class number"),
        (np.where(LABELS == 2, 1e30, LABELS), r"label 1e\+30 of images\[2\] is no class number"),
        (np.where(LABELS == 2, 2.0**63, LABELS), r"label 9.2\d+e\+18 of images\[2\] is no class number"),
        (LABELS.astype(np.uint64) + np.uint64(2**63), "labels holds 9223372036854775812, which is larger than a class"),
        (np.eye(12), r"labels have shape \(12, 12\)"),
    ],
)
def test_labels_that_are_no_classes(tmp_path: Path, labels: np.ndarray, words: str) -> None:
    path = write(tmp_path / "a.npz", images=PIXELS, labels=labels)
    with pytest.raises(DataError, match=words):
        open_datasets(DataRequest(path, calib_data=path, class_count=5))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_found_by_name(tmp_path: Path, value: float) -> None:
    values = RNG.normal(size=(12, 3, 5, 5)).astype(np.float32)
    values[7, 1, 2, 3] = value
    path = write(tmp_path / "a.npz", images=values)
    with pytest.raises(DataError, match=r"(NaN|Inf) in images\[7\] \(1 value that is not finite\)"):
        everything(path)
    with pytest.raises(DataError, match="NaN or Inf in sample 7"):
        everything(path, Reading(Preprocessing()))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.touch, (marker,))

    np.savez(tmp_path / "a.npz", images=np.array([Payload()], dtype=object))
    np.save(tmp_path / "b.npy", np.array([Payload()], dtype=object))
    torch.save({"images": Payload()}, tmp_path / "c.pt")
    torch.save(Payload(), tmp_path / "d.pt", _use_new_zipfile_serialization=False)
    for name in ("a.npz", "b.npy", "c.pt", "d.pt"):
        with pytest.raises(DataError):
            open_datasets(DataRequest(str(tmp_path / name)))
    assert not marker.exists()


@pytest.mark.parametrize("writer", [write_npz, write_compressed, write_pt, write_legacy, write_safetensors])
@pytest.mark.parametrize("kept", [0, 3, 64, 0.5, 0.99])
def test_files_cut_short(tmp_path: Path, writer, kept: float) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "data.bin"
    writer(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    with pytest.raises(DataError) as refusal:
        open_datasets(DataRequest(str(path)))
    assert refusal.value.at == str(path) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("kept", [0, 3, 64, 0.5])
def test_npy_cut_short(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "a.npy"
    np.save(path, RNG.normal(size=(40, 3, 64, 64)))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    with pytest.raises(DataError) as refusal:
        open_datasets(DataRequest(str(path)))
    assert refusal.value.at == str(path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], "text"])
def test_torch_files_without_tensors(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(DataError, match="no tensors"):
        open_datasets(DataRequest(str(tmp_path / "a.pt")))


def test_weights_given_as_data_are_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(5, 6)).state_dict(), tmp_path / "a.pt")
    with pytest.raises(DataError, match="cannot tell which array holds the inputs"):
        open_datasets(DataRequest(str(tmp_path / "a.pt")))
