"""Python objects and factories as data."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from qdiag.batches import Batch, Batches
from qdiag.errors import DataError, QdiagError
from qdiag.loaders.data.sources import DataRequest, batches_from, open_datasets
from qdiag.loaders.images.preprocessing import Preprocessing
from tests.divided import datasets_from

INPUTS = torch.arange(30, dtype=torch.float32).reshape(30, 1).repeat(1, 4)
LABELS = torch.arange(30) % 3


class Pairs(Dataset[tuple[torch.Tensor, int]]):
    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return INPUTS[index], int(LABELS[index])


class Stream(IterableDataset[torch.Tensor]):
    def __iter__(self) -> Iterator[torch.Tensor]:
        yield from INPUTS


def chunks(size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(INPUTS.split(size), LABELS.split(size), strict=True))


def members(batches: Batches) -> list[int]:
    return [int(value) for batch in batches for value in batch.tensors[0][:, 0]]


SOURCES = {
    "pair": (INPUTS, LABELS),
    "numpy pair": (INPUTS.numpy(), LABELS.numpy()),
    "dataset": Pairs(),
    "tensor dataset": TensorDataset(INPUTS, LABELS),
    "data loader": DataLoader(Pairs(), batch_size=8),
    "list of pairs": chunks(8),
    "list of dicts": [{"x": inputs, "labels": labels} for inputs, labels in chunks(8)],
    "list of batches": [Batch((inputs,), labels=labels) for inputs, labels in chunks(8)],
    "function": lambda: iter(chunks(8)),
    "function that returns a data loader": lambda: DataLoader(Pairs(), batch_size=8),
    "function that returns a dataset": Pairs,
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_gives_the_same_batches_again_and_again(name: str) -> None:
    batches = batches_from(SOURCES[name], batch_size=8)
    assert (batches.sample_count, batches.batch_size, batches.is_labelled) == (30, 8, True)
    assert not batches.is_data_free and len(batches.digest()) == 64
    for _ in range(2):
        run = list(batches)
        assert [batch.sample_count for batch in run] == [8, 8, 8, 6]
        assert torch.equal(torch.cat([batch.args[0] for batch in run]), INPUTS)
        assert torch.equal(torch.cat([batch.labels for batch in run if batch.labels is not None]), LABELS)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("samples", [None, 7])
def test_every_source_is_divided_alike(name: str, samples: int | None) -> None:
    divided = datasets_from(SOURCES[name], samples=samples, batch_size=4)
    expected = datasets_from((INPUTS, LABELS), samples=samples, batch_size=4)
    assert divided.split == expected.split
    assert members(divided.evaluation) == members(expected.evaluation)
    assert set(members(divided.calibration)) == set(members(expected.calibration))
    for batch in divided.evaluation:
        assert batch.labels is not None and torch.equal(batch.labels, batch.args[0][:, 0].long() % 3)


def test_a_divided_stream_keeps_full_batches() -> None:
    evaluation = datasets_from(chunks(8)).evaluation
    assert [batch.sample_count for batch in evaluation] == [8, 8, 7]


def test_stream_batches_that_cannot_be_cut() -> None:
    states = [Batch((inputs, torch.zeros(2, len(inputs), 5))) for inputs in INPUTS.split(10)]
    assert all(batch.args[1].shape[1] == len(batch.args[0]) for batch in datasets_from(states).evaluation)
    grids = [Batch((inputs, torch.zeros(2, 5))) for inputs in INPUTS.split(10)]
    assert len(list(batches_from(grids))) == 3
    divided = datasets_from(grids)
    with pytest.raises(DataError, match=r"shape \(2, 5\) in a batch of 10 cannot be divided"):
        list(divided.evaluation)


def test_calibration_objects_given_apart() -> None:
    datasets = datasets_from(chunks(8), [INPUTS[:5]])
    assert members(datasets.calibration) == [0, 1, 2, 3, 4] and members(datasets.evaluation) == list(range(30))


@pytest.mark.parametrize(
    ("item", "args", "kwargs", "labelled"),
    [
        (INPUTS, 1, [], False),
        ([INPUTS], 1, [], False),
        (((INPUTS, INPUTS), LABELS), 2, [], True),
        (({"left": INPUTS, "right": INPUTS}, LABELS), 0, ["left", "right"], True),
        ({"left": INPUTS, "right": INPUTS, "targets": LABELS}, 0, ["left", "right"], True),
        ({"pixel_values": INPUTS}, 0, ["pixel_values"], False),
        ({"images": INPUTS, "y": LABELS}, 1, [], True),
        ((INPUTS, None), 1, [], False),
        ((INPUTS.numpy(), LABELS.tolist()), 1, [], True),
    ],
)
def test_forms_of_a_batch(item: object, args: int, kwargs: list[str], labelled: bool) -> None:
    (batch,) = batches_from([item])
    assert (len(batch.args), list(batch.kwargs), batch.labels is not None) == (args, kwargs, labelled)


def shuffled() -> DataLoader[tuple[torch.Tensor, int]]:
    return DataLoader(Pairs(), batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(0))


class Once:
    """Gives its batches in the first pass only."""

    def __init__(self) -> None:
        self.left = chunks(8)

    def __iter__(self) -> Iterator[object]:
        while self.left:
            yield self.left.pop()


class Growing:
    def __init__(self) -> None:
        self.passes = 0

    def __iter__(self) -> Iterator[object]:
        self.passes += 1
        yield from chunks(8)[: self.passes]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (shuffled(), "batch 0 is not the one of the first pass"),
        (Once(), "gave 0 batches now, and 4 in the first pass"),
        (Growing(), "batch 1 is not the one of the first pass"),
    ],
)
def test_passes_that_differ_are_noticed(source: object, words: str) -> None:
    batches = batches_from(source)
    with pytest.raises(DataError, match=words) as refusal:
        list(batches)
    assert "no shuffling" in (refusal.value.hint or "")


def failing() -> Iterator[torch.Tensor]:
    yield INPUTS
    raise RuntimeError("disk on fire")


def with_nan() -> list[torch.Tensor]:
    inputs = INPUTS.clone()
    inputs[17, 2] = torch.nan
    return list(inputs.split(8))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ((inputs for inputs in [INPUTS]), "a generator can be gone through only once"),
        (iter([INPUTS]), "can be gone through only once"),
        (Stream(), "an IterableDataset yields samples one by one"),
        ([], "it yields no batches"),
        (torch.zeros(0, 3), r"shape \(0, 3\) holds no samples"),
        (torch.tensor(1.0), r"shape \(\) holds no samples"),
        (TensorDataset(torch.zeros(0, 3)), "the Dataset is empty"),
        ([torch.zeros(0, 3)], "an empty tensor"),
        ([INPUTS, (INPUTS, LABELS)], "batch 0 has no labels, others have"),
        ([(INPUTS, LABELS[:3])], "3 labels for 30 samples"),
        ((INPUTS, LABELS[:3]), "3 labels for 30 samples"),
        ([(INPUTS, INPUTS, LABELS)], "a tuple of 3 is no batch"),
        (["image.png"], "an object of type str is no batch"),
        ([{"x": INPUTS, "labels": LABELS, "y": LABELS}], "both labels and y could be the labels"),
        ([({"x": INPUTS, "y": LABELS}, LABELS)], "labels both among the inputs and beside them"),
        ([{"x": "text"}], "an object of type str is no input"),
        ([(INPUTS, "cat")], "labels of type str"),
        ([np.array(["a", "b"])], "array of type <U1 is no input"),
        ([Batch(())], "a batch without tensors"),
        (failing, "reading batch 1 failed: disk on fire"),
        (lambda: 1 / 0, "the factory failed: division by zero"),
        (lambda: len, "the factory returns another function"),
        (with_nan(), r"NaN in sample 17 \(1 value that is not finite\)"),
        (3, "an object of type int holds no data"),
    ],
)
def test_objects_that_cannot_be_used(source: object, words: str) -> None:
    with pytest.raises(DataError, match=words) as refusal:
        batches_from(source)
    assert refusal.value.at


def test_values_that_are_not_finite_in_tensors_are_found_by_sample() -> None:
    inputs = INPUTS.clone()
    inputs[11, 0] = torch.inf
    with pytest.raises(DataError, match=r"Inf in sample 11"):
        list(batches_from(inputs, batch_size=4))


def test_the_digest_follows_the_content() -> None:
    changed = [(inputs.clone(), labels) for inputs, labels in chunks(8)]
    before = batches_from(changed).digest()
    assert before == batches_from(chunks(8)).digest()
    changed[2][0][3, 1] += 1
    assert batches_from(changed).digest() != before
    assert datasets_from(chunks(8)).calibration.digest() != datasets_from(chunks(8)).evaluation.digest()


FACTORY = """
import torch
calls = 0

def batches():
    global calls
    calls += 1
    for start in range(0, 24, 6):
        yield torch.full((6, 3), float(start)), torch.arange(6) % {classes}

def broken():
    raise ValueError("no such camera")
"""


def test_a_factory_is_called_once_per_pass(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(FACTORY.format(classes=5))
    reference = f"{tmp_path / 'net.py'}:batches"
    datasets = open_datasets(DataRequest(reference, class_count=5, input_shape=(1, 3)))
    assert datasets.split == "6 of 24 samples to calibrate, 18 others measured, seed 0"
    assert datasets.evaluation.source == reference
    for _ in range(2):
        assert sum(batch.sample_count for batch in datasets.evaluation) == 18
    with pytest.raises(DataError, match="label 4 of sample 4 is outside 0 to 3"):
        open_datasets(DataRequest(reference, class_count=4))
    with pytest.raises(DataError, match="one input has shape 3, the network takes 3x8x8"):
        open_datasets(DataRequest(reference, input_shape=(1, 3, 8, 8)))


@pytest.mark.parametrize(
    ("name", "words"),
    [("broken", "no such camera"), ("batch", "batch"), ("calls", "an object of type int holds no data")],
)
def test_factories_that_cannot_be_used(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "net.py").write_text(FACTORY.format(classes=5))
    with pytest.raises(QdiagError, match=words) as refusal:
        open_datasets(DataRequest(f"{tmp_path / 'net.py'}:{name}"))
    assert isinstance(refusal.value, DataError)


def test_preprocessing_is_for_stored_pixels(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(FACTORY.format(classes=5))
    with pytest.raises(DataError, match="do not apply to batches of a factory"):
        open_datasets(DataRequest(f"{tmp_path / 'net.py'}:batches", preprocessing=Preprocessing()))


@pytest.mark.parametrize("reference", ["missing.npz", "missing_folder/", "./missing.py:factory", "no_such_module:x"])
def test_nothing_there(reference: str) -> None:
    with pytest.raises(DataError):
        open_datasets(DataRequest(reference))


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b"", "the file is empty", "write it again"),
        (b"hello world", "these data have no known format", ".npz"),
        (b"\x00" * 64, "these data have no known format", ".npz"),
        (b"PK\x03\x04" + b"\x00" * 60, "this archive is cut short or damaged", "write it again"),
        (b"RIFF" + b"\x00" * 60, "sound files are not read", "make features"),
    ],
)
def test_files_of_no_known_format(tmp_path: Path, content: bytes, message: str, hint: str) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=message) as refusal:
        open_datasets(DataRequest(str(tmp_path / "a.npz")))
    assert hint in (refusal.value.hint or "")
