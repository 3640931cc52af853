"""`.tflite`: the values of float constants are changed in place, and every other byte stays as it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from qdiag.errors import WriteError
from qdiag.files.read import open_regular
from qdiag.litert.edited.change import TensorChange, as_stored
from qdiag.litert.edited.write import with_changes
from qdiag.litert.load import load_network
from qdiag.litert.model import Array, LiteGraph, LiteTensor
from qdiag.litert.read import parse
from qdiag.litert.rewrite import laid_out
from qdiag.litert.writer import Laid
from qdiag.loaders.models.file import ModelFile
from qdiag.savers.saver import ModelSaver


@dataclass(frozen=True)
class _Content:
    data: bytes
    at: str
    graph: LiteGraph
    tensors: Mapping[str, Tensor]
    origins: Mapping[str, tuple[str, str]]


def _content(data: bytes, at: str) -> _Content:
    network = load_network(data, at)
    if network.integers is not None:
        raise WriteError(
            "repairs of weights are written into float files alone",
            at=at,
            hint="qdiag diagnose FLOAT --quantized FILE --repaired OUT repairs a file of integers",
        )
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    found = {name: tensor.detach() for name, tensor in tensors.items()}
    return _Content(data, at, parse(data, at), found, network.origins)


def _read(file: ModelFile, trust: bool) -> _Content:
    del trust  # there is nothing in it to execute
    with open_regular(file.path) as stream:
        return _content(stream.read(), file.at)


def _replaced(content: _Content, values: Mapping[str, Tensor]) -> _Content:
    """Raises `WriteError` for a tensor that the network has in several forms, or not as the file has it."""
    graph, laid = content.graph, laid_out(content.graph)
    places = {tensor.name: place for place, tensor in enumerate(graph.tensors)}
    changes = []
    for name, value in values.items():
        stored, form = content.origins.get(name, (name, ""))
        forms = [one for one in laid.laid.values() if one.name == stored]
        tensor = graph.tensors[places[stored]] if len(forms) == 1 else None
        if tensor is None or not _is_there(tensor, forms[0], _in_file(content.tensors[name], form)):
            raise WriteError(
                f"the values of {name} are no tensor of the file that can be changed in place",
                at=content.at,
                hint="leave the layer out, or repair the model that the file was converted from",
            )
        data = as_stored(tensor, forms[0], _in_file(value, form)).astype(tensor.dtype)
        changes.append(TensorChange(places[stored], tensor.dtype, None, data))
    return _content(with_changes(content.data, graph, changes, content.at), content.at)


def _in_file(value: Tensor, form: str) -> Array:
    array: Array = value.detach().cpu().float().numpy()
    return array.T if form == "transposed" else array


def _is_there(tensor: LiteTensor, laid: Laid, values: Array) -> bool:
    """The file holds these values as they are laid out there."""
    floats = tensor.floats
    return floats is not None and floats.size == values.size and np.array_equal(as_stored(tensor, laid, values), floats)


def _write(content: _Content, file: ModelFile, path: Path) -> None:
    del file
    path.write_bytes(content.data)


def _tensors(content: _Content) -> Mapping[str, Tensor]:
    return content.tensors


SAVER: ModelSaver[_Content] = ModelSaver(_read, _tensors, _replaced, _write, _tensors)
