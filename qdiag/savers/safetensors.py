"""`.safetensors`: named tensors, and the text that its header carries."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from qdiag.errors import LoadError
from qdiag.loaders.models.file import ModelFile
from qdiag.savers.saver import ModelSaver


@dataclass(frozen=True)
class _Content:
    tensors: Mapping[str, Tensor]
    metadata: dict[str, str] | None


def _read(file: ModelFile, trust: bool) -> _Content:
    del trust  # there is nothing in it to execute
    try:
        with safetensors.safe_open(file.path, framework="pt") as stream:
            return _Content({name: stream.get_tensor(name) for name in stream.keys()}, stream.metadata())  # noqa: SIM118
    except Exception as error:
        raise LoadError("the safetensors file cannot be read", at=file.at) from error


def _replaced(content: _Content, values: Mapping[str, Tensor]) -> _Content:
    return replace(content, tensors={**content.tensors, **values})


def _write(content: _Content, file: ModelFile, path: Path) -> None:
    del file
    tensors = {name: tensor.contiguous() for name, tensor in content.tensors.items()}
    path.write_bytes(safetensors.torch.save(tensors, content.metadata))


def _tensors(content: _Content) -> Mapping[str, Tensor]:
    return content.tensors


SAVER: ModelSaver[_Content] = ModelSaver(_read, _tensors, _replaced, _write, _tensors)
