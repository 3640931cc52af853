"""`.onnx`: the values of initializers are changed in place, and every other byte stays as it was."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from qdiag.errors import WriteError
from qdiag.files.read import open_regular
from qdiag.loaders.models.file import ModelFile
from qdiag.onnx.load import load_network
from qdiag.onnx.places import Place, float_places
from qdiag.savers.saver import ModelSaver


@dataclass(frozen=True)
class _Content:
    data: bytes
    at: str
    tensors: Mapping[str, Tensor]
    origins: Mapping[str, tuple[str, str]]


def _content(data: bytes, at: str) -> _Content:
    network = load_network(data, at)
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return _Content(data, at, {name: tensor.detach() for name, tensor in tensors.items()}, network.origins)


def _read(file: ModelFile, trust: bool) -> _Content:
    del trust  # there is nothing in it to execute
    with open_regular(file.path) as stream:
        return _content(stream.read(), file.at)  # tensors in other files are refused: those would have to be changed


def _replaced(content: _Content, values: Mapping[str, Tensor]) -> _Content:
    """Raises `WriteError` for a tensor that the file computes from others, or has in a form that is not changed."""
    places = list(float_places(content.data))
    counts = Counter(place.name for place in places)
    by_name = {place.name: place for place in places if counts[place.name] == 1}
    data = bytearray(content.data)
    for name, value in values.items():
        stored, form = content.origins.get(name, (name, "computed"))
        place = by_name.get(stored)
        if place is None or form not in ("", "transposed", "vector"):
            raise WriteError(
                f"the values of {name} are no tensor of the file that can be changed in place",
                at=content.at,
                hint="leave the layer out, or repair the model that the file was exported from",
            )
        new = _bytes(value, place, form)
        if len(new) != place.end - place.start:
            raise WriteError(f"{stored} has {place.end - place.start} bytes, not {len(new)}", at=content.at)
        data[place.start : place.end] = new
    return _content(bytes(data), content.at)


def _bytes(value: Tensor, place: Place, form: str) -> bytes:
    array = value.detach().cpu().numpy()
    return np.ascontiguousarray(array.T if form == "transposed" else array).astype(np.dtype(place.dtype)).tobytes()


def _write(content: _Content, file: ModelFile, path: Path) -> None:
    del file
    path.write_bytes(content.data)


def _tensors(content: _Content) -> Mapping[str, Tensor]:
    return content.tensors


SAVER: ModelSaver[_Content] = ModelSaver(_read, _tensors, _replaced, _write, _tensors)
