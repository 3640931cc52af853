"""TorchScript archives whose tensors claim more than is there: torch's reader believes them."""

import io
import pickletools
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from qdiag.errors import LoadError
from qdiag.loaders.archive import read_archive, write_archive
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.models.screens.storages import damaged_storage


def save(model: nn.Module, inputs: tuple[torch.Tensor, ...], target: object) -> None:
    """Traced, as TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(model.eval(), inputs), target)  # type: ignore[no-untyped-call]


def archive(model: nn.Module, *inputs: torch.Tensor) -> dict[str, bytes]:
    """The members of a traced module, without the root folder."""
    stream = io.BytesIO()
    save(model, inputs, stream)
    with zipfile.ZipFile(stream) as members:
        return {name.partition("/")[2]: members.read(name) for name in members.namelist()}


class Views(nn.Module):
    """A parameter that is a transposed view, one without values, one scalar, and a constant of the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.turned = nn.Parameter(torch.rand(5, 3).t())
        self.empty = nn.Parameter(torch.rand(0, 4))
        self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
        self.register_buffer("tail", torch.arange(12)[7:])
        self.shift = torch.arange(5.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ self.turned) * self.scale.float() + self.tail + self.shift


MEMBERS = archive(Views(), torch.rand(2, 3))


def test_a_sound_archive_has_all_its_bytes() -> None:
    assert any(name.startswith("constants/") for name in MEMBERS)
    assert damaged_storage(MEMBERS) is None


@pytest.mark.parametrize("record", sorted(n for n in MEMBERS if n.startswith(("data/", "constants/")) and MEMBERS[n]))
def test_a_record_that_is_cut_short_or_missing_is_damaged(record: str) -> None:
    for members in ({**MEMBERS, record: MEMBERS[record][:-1]}, {k: v for k, v in MEMBERS.items() if k != record}):
        found = damaged_storage(members)
        assert found is not None and record in found


def numbers_of(pickled: bytes) -> list[tuple[int, int]]:
    """Value and place of every small number in a pickle."""
    found = ((code.name, value, place) for code, value, place in pickletools.genops(pickled))
    return [(value, place or 0) for name, value, place in found if name == "BININT1"]


@pytest.mark.parametrize("numbers", [(7, 5, 1), (0, 3, 5, 1, 3)], ids=["offset", "strides"])
def test_offsets_and_strides_that_lead_out_of_the_storage_are_damage(numbers: tuple[int, ...]) -> None:
    pickled = MEMBERS["data.pkl"]
    seen = numbers_of(pickled)
    starts = [i for i in range(len(seen)) if tuple(value for value, _ in seen[i : i + len(numbers)]) == numbers]
    assert len(starts) == 1, "offset, shape and strides of one tensor"
    place = seen[starts[0] + (0 if len(numbers) == 3 else len(numbers) - 1)][1]
    larger = pickled[: place + 1] + bytes([pickled[place + 1] + 1]) + pickled[place + 2 :]
    found = damaged_storage({**MEMBERS, "data.pkl": larger})
    assert found is not None and "reads outside of" in found


def test_no_pickle_is_damage() -> None:
    for content in (b"", b"\x80\x02", b"hello", MEMBERS["data.pkl"][:-5]):
        assert damaged_storage({**MEMBERS, "data.pkl": content}) == "data.pkl is no pickle of tensors"


def test_the_reader_refuses_it_before_torch_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "model.ts"
    save(Views(), (torch.rand(2, 3),), path)
    load_subject(path)
    members = read_archive(path)
    name = next(name for name in members if "/data/" in name and members[name])
    path.write_bytes(write_archive({**members, name: b""}).getvalue())
    with pytest.raises(LoadError, match="has 0 bytes, and its tensor needs"):
        load_subject(path)
