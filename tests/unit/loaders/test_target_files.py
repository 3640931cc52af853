"""Targets of every kind in files of arrays, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from qdiag.errors import DataError
from qdiag.loaders.data.samples import Reading
from qdiag.loaders.data.sources import DataRequest, open_datasets, read_stored
from qdiag.targets import joined_targets, kind_of_targets, shape_of_targets, target_bytes

COUNT = 9
INPUTS = np.arange(COUNT * 4, dtype=np.float32).reshape(COUNT, 4)
MASKS = (np.arange(COUNT * 6) // 5 % 3).reshape(COUNT, 2, 3).astype(np.uint8)
FLOATS = INPUTS[:, :3] / 2
TEXTS = np.array([f"text {index}" for index in range(COUNT)])
SIZES = np.arange(COUNT) % 3
BOXES = np.arange(SIZES.sum() * 4, dtype=np.float32).reshape(-1, 4)
CLASSES = np.arange(SIZES.sum()) % 5

ENDS = np.cumsum(SIZES).tolist()
PER_IMAGE = [
    {"boxes": torch.from_numpy(BOXES[end - size : end]), "labels": torch.from_numpy(CLASSES[end - size : end])}
    for size, end in zip(SIZES.tolist(), ENDS, strict=True)
]
ARRAYS: dict[str, tuple[dict[str, np.ndarray], Any]] = {
    "masks": ({"labels": MASKS}, torch.from_numpy(MASKS)),
    "floats": ({"targets": FLOATS}, torch.from_numpy(FLOATS)),
    "boxes": ({"targets.boxes": BOXES, "targets.labels": CLASSES, "targets.counts": SIZES}, PER_IMAGE),
    "branches": (
        {"y.mask": MASKS, "y.depth": FLOATS},
        {"mask": torch.from_numpy(MASKS), "depth": torch.from_numpy(FLOATS)},
    ),
}


def as_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def as_safetensors(path: Path, arrays: dict[str, np.ndarray]) -> None:
    save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, path)


def as_pt(path: Path, arrays: dict[str, np.ndarray]) -> None:
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)


def everything(path: Path) -> list[Any]:
    samples = read_stored(str(path), Reading()).samples
    return list(samples.batches(range(samples.sample_count), 4))


def content(targets: Any) -> bytes:
    return b"".join(target_bytes(targets))


def whole(path: Path) -> Any:
    return joined_targets([batch.labels for batch in everything(path)])


@pytest.mark.parametrize("writer", [as_npz, as_safetensors, as_pt])
@pytest.mark.parametrize("name", ARRAYS)
def test_every_kind_is_read_from_arrays(
    tmp_path: Path, writer: Callable[[Path, dict[str, np.ndarray]], None], name: str
) -> None:
    arrays, expected = ARRAYS[name]
    writer(tmp_path / "data", {"x": INPUTS, **arrays})
    batches = everything(tmp_path / "data")
    assert [batch.sample_count for batch in batches] == [4, 4, 1]
    assert content(joined_targets([batch.labels for batch in batches])) == content(expected)
    assert read_stored(str(tmp_path / "data"), Reading()).samples.is_labelled


@pytest.mark.parametrize("texts", [TEXTS, TEXTS.astype("S")])
def test_texts_are_read_from_npz(tmp_path: Path, texts: np.ndarray) -> None:
    as_npz(tmp_path / "data", {"x": INPUTS, "labels": texts})
    assert whole(tmp_path / "data") == TEXTS.tolist()
    assert kind_of_targets(everything(tmp_path / "data")[0].labels) == "texts"


@pytest.mark.parametrize("name", ["boxes", "texts", "branches", "tuple"])
@pytest.mark.parametrize("is_pair", [True, False])
def test_a_pt_file_holds_targets_as_python_has_them(tmp_path: Path, name: str, is_pair: bool) -> None:
    targets: Any = {
        "boxes": PER_IMAGE,
        "texts": TEXTS.tolist(),
        "branches": ARRAYS["branches"][1],
        "tuple": (torch.from_numpy(FLOATS), torch.from_numpy(MASKS)),
    }[name]
    inputs = torch.from_numpy(INPUTS)
    torch.save((inputs, targets) if is_pair else {"inputs": inputs, "targets": targets, "epoch": 3}, tmp_path / "data")
    assert content(whole(tmp_path / "data")) == content(targets)


def test_both_parts_of_a_split_have_their_targets(tmp_path: Path) -> None:
    parts = {"calib_x": INPUTS[:4], "calib_labels": MASKS[:4], "eval_x": INPUTS, "eval_targets.mask": MASKS}
    as_npz(tmp_path / "data", parts)
    datasets = open_datasets(DataRequest(str(tmp_path / "data")))
    (first, *_), (other, *_) = datasets.calibration, datasets.evaluation
    assert (shape_of_targets(first.labels), shape_of_targets(other.labels)) == (
        "mask (4, 2, 3)",
        "{mask: mask (9, 2, 3)}",
    )
    assert datasets.evaluation.source == f"{tmp_path / 'data'} (eval_x, eval_targets.mask)"


@pytest.mark.parametrize("name", ARRAYS)
def test_the_digest_follows_the_targets(tmp_path: Path, name: str) -> None:
    arrays = ARRAYS[name][0]
    key = next(iter(arrays))
    as_npz(tmp_path / "a", {"x": INPUTS, **arrays})
    as_npz(tmp_path / "b", {"x": INPUTS, **arrays, key: arrays[key][::-1]})
    digests = [open_datasets(DataRequest(str(tmp_path / file))).evaluation.digest() for file in ("a", "b", "a")]
    assert digests[0] == digests[2] != digests[1]


BOX_ARRAYS = ARRAYS["boxes"][0]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"labels": MASKS[:5]}, "5 labels for 9 samples"),
        ({"labels": TEXTS[:5]}, "5 labels for 9 samples"),
        ({"y.mask": MASKS, "y.depth": FLOATS[:2]}, "2 labels in depth for 9 samples"),
        ({"targets": FLOATS, "targets.mask": MASKS}, "both targets and targets.mask could be the labels"),
        ({"y": FLOATS, "targets.mask": MASKS}, "both targets and y could be the labels"),
        ({**BOX_ARRAYS, "targets.counts": SIZES[:4]}, "targets.counts has 4 counts for 9 samples"),
        ({**BOX_ARRAYS, "targets.counts": SIZES - 1}, "array targets.counts holds no counts"),
        ({**BOX_ARRAYS, "targets.counts": SIZES / 2}, "array targets.counts holds no counts"),
        (
            {**BOX_ARRAYS, "targets.labels": CLASSES[:5]},
            "targets.labels has 5 rows, but targets.counts adds up to 9",
        ),
        (
            {"targets": np.where(FLOATS == 2.5, np.nan, FLOATS)},
            r"NaN in the targets of x\[1\] \(1 value that is not finite\)",
        ),
        ({**BOX_ARRAYS, "targets.boxes": BOXES + np.inf}, r"Inf in the targets of x\[1\]"),
    ],
)
def test_arrays_that_are_no_targets(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    as_npz(tmp_path / "data", {"x": INPUTS, **arrays})
    with pytest.raises(DataError, match=words) as refusal:
        everything(tmp_path / "data")
    assert str(refusal.value.at).startswith(str(tmp_path / "data")) and refusal.value.hint


def doubled() -> Any:
    """Thirty lists of which each holds the one before twice: a billion entries in a few hundred bytes."""
    tree: Any = ["a"]
    for _ in range(30):
        tree = [tree, tree]
    return tree


def deep() -> Any:
    tree: Any = ["a"]
    for _ in range(200):
        tree = [tree]
    return tree


def circular() -> Any:
    tree: list[Any] = []
    tree.append(tree)
    return tree


@pytest.mark.parametrize("make", [doubled, deep, circular])
def test_trees_that_would_take_for_ever_are_refused(tmp_path: Path, make: Callable[[], Any]) -> None:
    torch.save({"x": torch.from_numpy(INPUTS), "targets": make()}, tmp_path / "data")
    with pytest.raises(DataError, match="repeat themselves, or are nested too deeply") as refusal:
        everything(tmp_path / "data")
    assert refusal.value.at == str(tmp_path / "data")


def test_boxes_without_labels_of_their_own_name_the_sample(tmp_path: Path) -> None:
    bad = [*PER_IMAGE[:4], {"boxes": torch.zeros(2, 4), "labels": torch.zeros(1)}, *PER_IMAGE[5:]]
    torch.save((torch.from_numpy(INPUTS), bad), tmp_path / "data")
    with pytest.raises(DataError, match="1 label for 2 boxes") as refusal:
        everything(tmp_path / "data")
    assert refusal.value.at == f"{tmp_path / 'data'}, labels, targets of sample 4"


def test_sparse_tensors_among_targets_are_refused(tmp_path: Path) -> None:
    targets = [{"mask": torch.eye(3).to_sparse()} for _ in range(COUNT)]
    torch.save((torch.from_numpy(INPUTS), targets), tmp_path / "data")
    with pytest.raises(DataError, match="in the layout sparse_coo"):
        everything(tmp_path / "data")


def test_objects_among_targets_are_never_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.touch, (marker,))

    torch.save((torch.from_numpy(INPUTS), [Payload()] * COUNT), tmp_path / "data")
    np.savez(tmp_path / "data.npz", x=INPUTS, targets=np.array([Payload()] * COUNT, dtype=object))
    for name in ("data", "data.npz"):
        with pytest.raises(DataError):
            everything(tmp_path / name)
    assert not marker.exists()


def test_numbers_that_are_no_characters_are_no_text(tmp_path: Path) -> None:
    texts = np.array(["abc"] * len(INPUTS))
    texts.view(np.uint32)[1] = 0x7FFFFFFF
    as_npz(tmp_path / "data", {"x": INPUTS, "labels": texts})
    with pytest.raises(DataError, match="numbers that are no characters"):
        everything(tmp_path / "data")


def test_a_brace_in_the_name_of_an_array_stays_a_brace(tmp_path: Path) -> None:
    inputs = np.array(INPUTS, dtype=np.float32)
    inputs.flat[0] = np.nan
    as_npz(tmp_path / "data", {"x{": inputs})
    with pytest.raises(DataError, match=r"NaN in x\{\[0\]"):
        everything(tmp_path / "data")
