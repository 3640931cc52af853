"""What `torch.save` wrote: state dicts and training checkpoints, or modules that were pickled whole."""

import copy
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qdiag.loaders.models.checkpoint import is_legacy, read_content
from qdiag.loaders.models.file import ModelFile
from qdiag.loaders.models.quiet import quiet_torch
from qdiag.loaders.models.state_dict import locate_model
from qdiag.savers.named_tensors import fill, tensors_of
from qdiag.savers.saver import ModelSaver


@dataclass(frozen=True)
class _Content:
    """Everything that was saved, and the key under which the model is; None: where it is found."""

    saved: object
    key: str | None


def _read(file: ModelFile, trust: bool) -> _Content:
    return _Content(read_content(file, trust), file.key)


def _tensors(content: _Content) -> Mapping[str, Tensor]:
    _, model = locate_model(content.saved, "", content.key)
    if isinstance(model, nn.Module):
        return tensors_of(model)
    return {name: value for name, value in model.items() if isinstance(value, Tensor)}


def _replaced(content: _Content, values: Mapping[str, Tensor]) -> _Content:
    """Only what lies on the way to the model is new; a copy of the weights under another key keeps its values."""
    path, model = locate_model(content.saved, "", content.key)
    if isinstance(model, nn.Module):
        fill(tensors_of(model), values)
        return content
    return replace(content, saved=_with_values(content.saved, path, values))


def _with_values(content: Any, path: Sequence[str], values: Mapping[str, Tensor]) -> Any:
    changed = copy.copy(content)
    if hasattr(content, "_metadata"):  # versions of the modules, which state_dict() hangs on its OrderedDict
        changed._metadata = content._metadata
    if path:
        changed[path[0]] = _with_values(content[path[0]], path[1:], values)
        return changed
    keys = {str(key): key for key in content}
    for name, value in values.items():
        stored = content[keys[name]]
        new = stored.detach().clone().copy_(value)
        changed[keys[name]] = nn.Parameter(new, stored.requires_grad) if isinstance(stored, nn.Parameter) else new
    return changed


def _write(content: _Content, file: ModelFile, path: Path) -> None:
    with quiet_torch(), path.open("wb") as stream:
        if not file.members and not is_legacy(file):
            pickle.dump(content.saved, stream)
        else:
            torch.save(content.saved, stream, _use_new_zipfile_serialization=bool(file.members))


def _leaves(content: _Content) -> dict[str, Tensor]:
    return dict(_walk(content.saved, ""))


def _walk(content: object, path: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Tensor):
        yield path, content
    elif isinstance(content, nn.Module):
        for name, tensor in tensors_of(content).items():
            yield f"{path}/{name}", tensor
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _walk(value, f"{path}/{key}")
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from _walk(value, f"{path}/{index}")


SAVER: ModelSaver[_Content] = ModelSaver(_read, _tensors, _replaced, _write, _leaves)
