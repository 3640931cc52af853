"""`.onnx`: the values of tensors are changed where they stand, and every other byte stays as it was.

Values in other files are written into one file beside the new one, which is named after it.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from qdiag.errors import LoadError, WriteError
from qdiag.loaders.models.file import ModelFile
from qdiag.loaders.models.operations.onnx import read_beside, read_whole
from qdiag.onnx.load import load_network
from qdiag.onnx.wire.own_tensors import OwnTensor, with_own_tensors
from qdiag.onnx.wire.places import Place, places
from qdiag.onnx.wire.relocate import Entries, locations, relocated
from qdiag.savers.saver import ModelSaver

_ALIGNMENT_BYTES = 4096
"""At a multiple of it each file begins within the new one, so that tensors can be mapped into memory (onnx.proto)."""


@dataclass(frozen=True)
class _Content:
    """The ONNX file, the files with tensors of it by their names there, and what the network makes of them."""

    data: bytes
    files: Mapping[str, bytes]
    at: str
    tensors: Mapping[str, Tensor]
    origins: Mapping[str, tuple[str, str]]
    readers: Mapping[str, tuple[str, int]]


def _content(data: bytes, files: Mapping[str, bytes], at: str) -> _Content:
    def part(name: str, start: int, length: int | None) -> bytes:
        return files[name][start : None if length is None else start + length]

    network = load_network(data, at, part)
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    detached = {name: tensor.detach() for name, tensor in tensors.items()}
    return _Content(data, files, at, detached, network.origins, network.readers)


def _read(file: ModelFile, trust: bool) -> _Content:
    del trust  # there is nothing in it to execute
    data = read_whole(file)
    return _content(data, {name: read_beside(file.path, name) for name in _locations(data, file.at)}, file.at)


def _locations(data: bytes, at: str) -> tuple[str, ...]:
    try:
        return locations(data)
    except ValueError as error:
        raise LoadError("the ONNX file is cut short or damaged", at=at, hint="copy or save it again") from error


def _replaced(content: _Content, values: Mapping[str, Tensor]) -> _Content:
    """Raises `WriteError` for a tensor that the file computes from others, or has in a form that is not changed."""
    found = list(places(content.data))
    counts = Counter(place.name for place in found)
    by_name = {place.name: place for place in found if counts[place.name] == 1 and place.dtype is not None}
    files = {name: bytearray(data) for name, data in {**content.files, "": content.data}.items()}
    own = _own_tensors(content, values, by_name)
    for name, value in values.items():
        if name in content.readers:
            continue
        stored, form = content.origins.get(name, (name, "computed"))
        place = by_name.get(stored)
        if place is None or form not in ("", "transposed", "vector", "reshaped"):
            raise _unchangeable(name, content.at)
        _check_alone(place, found, content.at)
        data, new = files[place.location], _bytes(value, place, form)
        end = len(data) if place.end is None else place.end
        if len(new) != end - place.start:
            raise WriteError(f"{stored} has {end - place.start} bytes, not {len(new)}", at=content.at)
        data[place.start : end] = new
    changed = {name: bytes(data) for name, data in files.items()}
    whole = changed.pop("")
    try:
        whole = with_own_tensors(whole, own) if own else whole
    except ValueError as error:
        raise WriteError(
            f"several layers read {content.origins[next(iter(content.readers))][0]}, and one of them changes: {error}",
            at=content.at,
            hint="save the network in a newer version of ONNX, or leave the layer out",
        ) from error
    return _content(whole, changed, content.at)


def _own_tensors(content: _Content, values: Mapping[str, Tensor], places: Mapping[str, Place]) -> list[OwnTensor]:
    """For layers that read a vector of another one, which is not theirs any more."""
    paths = {stored: path for path, (stored, form) in content.origins.items() if not form}
    found = []
    for name, (output, place) in content.readers.items():
        stored = content.origins[name][0]
        first, at = paths.get(stored, stored), places.get(stored)
        value = values.get(name, content.tensors[name])
        if torch.equal(value, values.get(first, content.tensors[first])):
            continue
        if at is None or at.dtype is None:
            raise _unchangeable(name, content.at)
        own = name
        while own.encode() in content.data:
            own += "_own"
        found.append(OwnTensor(output, place, own, value.detach().cpu().numpy().astype(np.dtype(at.dtype))))
    return found


def _unchangeable(name: str, at: str) -> WriteError:
    return WriteError(
        f"the values of {name} are no tensor of the file that can be changed in place",
        at=at,
        hint="leave the layer out, or repair the model that the file was exported from",
    )


def _check_alone(place: Place, found: Sequence[Place], at: str) -> None:
    """Raises `WriteError` where another tensor has bytes of this one."""
    for other in found:
        if other is place or other.location != place.location:
            continue
        if (other.end is None or place.start < other.end) and (place.end is None or other.start < place.end):
            raise WriteError(
                f"{place.name} and {other.name} stand in the same bytes of {place.location}, and one of them changes",
                at=at,
                hint="save the network with its tensors inside, or leave the layer out",
            )


def _bytes(value: Tensor, place: Place, form: str) -> bytes:
    array = value.detach().cpu().numpy()
    return np.ascontiguousarray(array.T if form == "transposed" else array).astype(np.dtype(place.dtype)).tobytes()


def _write(content: _Content, file: ModelFile, path: Path) -> None:
    del file
    if not content.files:
        path.write_bytes(content.data)
        return
    joined, starts = bytearray(), {}
    for name, data in content.files.items():
        joined += bytes(-len(joined) % _ALIGNMENT_BYTES)
        starts[name] = len(joined)
        joined += data
    beside = _path_beside(path)
    digest = hashlib.sha1(joined, usedforsecurity=False).hexdigest()

    def moved(old: Entries) -> Entries:
        name, start = old.get("location", ""), int(old.get("offset", 0) or 0)
        new = {"location": beside.name}
        if starts[name]:
            new["offset"] = str(starts[name] + start)
        if len(starts) > 1 and not int(old.get("length", 0) or 0):  # up to the end of a file that goes on now
            new["length"] = str(len(content.files[name]) - start)
        return {**new, "checksum": digest} if "checksum" in old else new

    beside.write_bytes(joined)
    path.write_bytes(relocated(content.data, moved))


def _path_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.data")


def _beside(file: ModelFile, path: Path) -> tuple[Path, tuple[Path, ...]] | None:
    names = _locations(read_whole(file), file.at)
    folder = file.path.resolve().parent
    return (_path_beside(path), tuple(folder / name for name in names)) if names else None


def _tensors(content: _Content) -> Mapping[str, Tensor]:
    return content.tensors


SAVER: ModelSaver[_Content] = ModelSaver(_read, _tensors, _replaced, _write, _tensors, _beside)
