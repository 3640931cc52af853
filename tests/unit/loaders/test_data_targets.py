"""Targets of every kind from Python: as they are given, cut, divided and refused."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from qdiag.batches import Batch
from qdiag.errors import DataError
from qdiag.loaders.data.sources import batches_from
from qdiag.targets import joined_targets, kind_of_targets, shape_of_targets, target_bytes, target_rows
from tests.divided import datasets_from

COUNT = 12
INPUTS = torch.arange(COUNT, dtype=torch.float32)[:, None].repeat(1, 5)


def boxes_of(index: int) -> dict[str, torch.Tensor]:
    count = index % 3
    return {"boxes": torch.full((count, 4), float(index)), "labels": torch.full((count,), index)}


TARGETS: dict[str, Any] = {
    "floats": INPUTS[:, :3] + 0.5,
    "masks": torch.arange(COUNT)[:, None, None].repeat(1, 4, 4),
    "boxes": [boxes_of(index) for index in range(COUNT)],
    "texts": [f"text {index}" for index in range(COUNT)],
    "dictionary": {"mask": torch.arange(COUNT)[:, None, None].repeat(1, 4, 4), "depth": INPUTS[:, :2] / 2},
    "tuple": (INPUTS[:, :2] + 0.5, torch.arange(COUNT)),
    "ragged": [torch.full((1 + index % 2,), float(index)) for index in range(COUNT)],
}


class Pairs(Dataset[Any]):
    """Samples (input, targets), the targets as one sample has them."""

    def __init__(self, targets: Any) -> None:
        self.targets = targets

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        return INPUTS[index], of_sample(self.targets, index)


def of_sample(targets: Any, index: int) -> Any:
    if isinstance(targets, dict):
        return {name: of_sample(branch, index) for name, branch in targets.items()}
    if isinstance(targets, tuple):
        return tuple(of_sample(branch, index) for branch in targets)
    return targets[index]


def in_parts(targets: Any, size: int) -> list[tuple[torch.Tensor, Any]]:
    cuts = [range(start, min(start + size, COUNT)) for start in range(0, COUNT, size)]
    return [(INPUTS[cut.start : cut.stop], target_rows(targets, cut)) for cut in cuts]


def content(targets: Any) -> bytes:
    return b"".join(target_bytes(targets))


FORMS = ("pair", "parts", "dictionaries", "batches", "dataset", "function")
GIVEN = [(name, form) for name in TARGETS for form in FORMS if (name, form) != ("ragged", "dataset")]


@pytest.mark.parametrize(("name", "form"), GIVEN)
def test_every_kind_comes_back_as_it_was_given(name: str, form: str) -> None:
    targets = TARGETS[name]
    parts = in_parts(targets, 5)
    source: Any = {
        "pair": (INPUTS, targets),
        "parts": parts,
        "dictionaries": [{"x": inputs, "targets": part} for inputs, part in parts],
        "batches": [Batch((inputs,), labels=part) for inputs, part in parts],
        "dataset": Pairs(targets),
        "function": lambda: iter(parts),
    }[form]
    batches = batches_from(source, batch_size=5)
    assert batches.is_labelled
    for _ in range(2):
        run = list(batches)
        assert [batch.sample_count for batch in run] == [5, 5, 2]
        assert content(joined_targets([batch.labels for batch in run])) == content(targets)
        assert {kind_of_targets(batch.labels) for batch in run} == {kind_of_targets(targets)}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("samples", [None, 4])
def test_every_kind_is_divided_with_its_samples(name: str, samples: int | None) -> None:
    targets = TARGETS[name]
    for source in ((INPUTS, targets), in_parts(targets, 5)):
        divided = datasets_from(source, samples=samples, batch_size=3)
        for batches in (divided.calibration, divided.evaluation):
            for batch in batches:
                chosen = [int(value) for value in batch.args[0][:, 0]]
                assert content(batch.labels) == content(target_rows(targets, chosen))


@pytest.mark.parametrize("name", TARGETS)
def test_the_digest_follows_the_targets(name: str) -> None:
    targets, swapped = TARGETS[name], target_rows(TARGETS[name], [1, 0, *range(2, COUNT)])
    for make in (lambda t: (INPUTS, t), lambda t: in_parts(t, 5)):
        assert batches_from(make(targets)).digest() == batches_from(make(targets)).digest()
        assert batches_from(make(targets)).digest() != batches_from(make(swapped)).digest()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1, 2, 3], "classes (3,)"),
        ([[1], [2], [3]], "classes (3,)"),
        ([1.0, 2.0, 3.0], "classes (3,)"),
        ([1.0, 2.0, 3.5], "floats (3,)"),
        ([torch.tensor(1), torch.tensor(2), torch.tensor(3)], "classes (3,)"),
        ([[0.5, 1.0], [1.0, 2.0], [0.0, 0.0]], "floats (3, 2)"),
        (np.zeros((3, 4, 4), np.uint8), "mask (3, 4, 4)"),
        (np.array(["a", "b", "c"]), "texts of 3 samples"),
        (np.array([b"a", b"b", b"c"]), "texts of 3 samples"),
        (("a", "b", "c"), "texts of 3 samples"),
        (tuple({"boxes": [[0, 0, 1, 1]] * n, "labels": [1] * n} for n in range(3)), "boxes of 3 samples"),
        ([{"boxes": np.zeros((n, 4)), "labels": np.zeros(n, np.int64)} for n in range(3)], "boxes of 3 samples"),
        ([torch.zeros(3, 2), torch.zeros(3)], "(floats (3, 2), floats (3,))"),
        ((torch.zeros(3, 2), ["a", "b", "c"]), "(floats (3, 2), texts of 3 samples)"),
        ([torch.zeros(3, 2), torch.zeros(3), torch.zeros(3)], "entries of 3 samples"),
        ([[1, 2], [3], [4, 5, 6]], "entries of 3 samples"),
        ([{"boxes": [], "labels": []}] * 3, "boxes of 3 samples"),
        ({"mask": np.zeros((3, 4, 4), np.int64), "count": [1, 2, 3]}, "{mask: mask (3, 4, 4), count: classes (3,)}"),
    ],
)
def test_common_forms_are_taken(given: Any, words: str) -> None:
    (batch,) = batches_from([(INPUTS[:3], given)])
    assert shape_of_targets(batch.labels) == words


def test_a_data_loader_makes_lists_of_what_samples_hold_as_tuples() -> None:
    loader = DataLoader(Pairs(TARGETS["tuple"]), batch_size=5)
    run = list(batches_from(loader))
    assert content(joined_targets([batch.labels for batch in run])) == content(TARGETS["tuple"])


def test_floats_that_are_whole_in_one_batch_alone_stay_floats() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 0.5, 1.0, 2.0])
    sources = ([(INPUTS[:3], values[:3]), (INPUTS[3:6], values[3:])], (INPUTS[:6], values))
    for source in (*sources, TensorDataset(INPUTS[:6], values)):
        run = list(batches_from(source, batch_size=3))
        assert [batch.labels.dtype for batch in run] == [torch.float32, torch.float32]
        assert torch.equal(torch.cat([batch.labels for batch in run]), values)
    whole = TensorDataset(INPUTS[:6], values.ceil())
    assert {batch.labels.dtype for batch in batches_from(whole, batch_size=3)} == {torch.int64}


def bad_boxes() -> list[Any]:
    return [boxes_of(1), {"boxes": torch.zeros(2, 4), "labels": torch.zeros(3)}, boxes_of(0)]


def with_nan(sample: int) -> list[Any]:
    entries = [boxes_of(2) for _ in range(3)]
    entries[sample]["boxes"][1, 2] = torch.nan
    return entries


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["a", "b"], "2 labels for 3 samples"),
        ([boxes_of(1)], "1 label for 3 samples"),
        ({"mask": torch.zeros(3, 2, 2), "depth": torch.zeros(2)}, "2 labels in depth for 3 samples"),
        ((torch.zeros(3), ["a", "b"]), "2 labels in 1 for 3 samples"),
        (bad_boxes(), "3 labels for 2 boxes"),
        (with_nan(1), r"NaN in the targets of sample 1 \(1 value that is not finite\)"),
        (torch.tensor([0.5, torch.inf, 1.0]), "Inf in the targets of sample 1"),
        ({"depth": torch.tensor([0.5, 1.0, torch.nan])}, "NaN in the targets of sample 2"),
        ([object(), object(), object()], "an object of type object among the targets"),
        (np.array([0, 2**63 + 5, 1], np.uint64), "label 9223372036854775813 of sample 1 is larger than a class"),
        ("cat", "labels of type str"),
        ({1, 2, 3}, "labels of type set"),
    ],
)
def test_targets_that_cannot_be_used(given: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as refusal:
        batches_from([(INPUTS[:3], given)])
    assert refusal.value.at and refusal.value.hint


def test_malformed_boxes_name_the_sample() -> None:
    with pytest.raises(DataError) as refusal:
        batches_from([(INPUTS[:3], [boxes_of(0)] * 3), (INPUTS[:3], bad_boxes())])
    assert refusal.value.at == "list, batch 1, targets of sample 1"


def test_batches_of_another_structure_are_named() -> None:
    with pytest.raises(DataError, match="batch 0 are a tensor of 1 axes, those of batch 1 a list of str") as refusal:
        batches_from([(INPUTS[:2], [1, 2]), (INPUTS[:2], ["a", "b"])])
    assert "same structure" in (refusal.value.hint or "")


def test_samples_of_a_dataset_with_targets_of_different_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"targets of the shapes \(1,\) and \(2,\)") as refusal:
        list(batches_from(Pairs(TARGETS["ragged"]), batch_size=3))
    assert "list of targets" in (refusal.value.hint or "")


class Broken(Pairs):
    """A regression whose third sample cannot be read."""

    def __getitem__(self, index: int) -> Any:
        if index == 2:
            raise OSError("disk on fire")
        return INPUTS[index], float(index)


def test_a_sample_that_cannot_be_read_is_told_as_one() -> None:
    with pytest.raises(DataError, match="reading samples failed: disk on fire") as refusal:
        batches_from(Broken(None))
    assert refusal.value.at == "Broken"


def test_arguments_as_a_tuple_and_targets_of_a_dataset() -> None:
    class Two(Pairs):
        def __getitem__(self, index: int) -> Any:
            return (INPUTS[index], INPUTS[index, :2]), f"text {index}"

    first, *_ = batches_from(Two(None), batch_size=5)
    assert [tuple(argument.shape) for argument in first.args] == [(5, 5), (5, 2)]
    assert first.labels == [f"text {index}" for index in range(5)]


def test_lists_of_annotations_stay_as_they_are() -> None:
    """A Dataset such as torchvision's CocoDetection gives a list of dictionaries, which may be empty."""
    annotations = [[{"bbox": [0.0, 0.0, 4.0, float(i)], "category_id": i}] * (i % 3) for i in range(COUNT)]
    run = list(batches_from(Pairs(annotations), batch_size=5))
    found = joined_targets([batch.labels for batch in run])
    assert [len(entry) for entry in found] == [i % 3 for i in range(COUNT)]
    assert found[5][1]["category_id"] == 5 and found[5][1]["bbox"].tolist() == [0, 0, 4, 5]
    tokens = [list(range(i % 3)) for i in range(COUNT)]
    (batch,) = batches_from([(INPUTS, tokens)])
    assert [entry.tolist() for entry in batch.labels] == tokens


def test_inputs_that_are_not_stacked_are_told() -> None:
    loader = DataLoader(
        Pairs(TARGETS["boxes"]), batch_size=4, collate_fn=lambda samples: tuple(zip(*samples, strict=True))
    )
    with pytest.raises(DataError, match="a tuple of 4 inputs holds arguments of one call") as refusal:
        batches_from(loader)
    assert "torch.stack" in (refusal.value.hint or "")
