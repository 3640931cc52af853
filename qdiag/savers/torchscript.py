"""TorchScript, scripted or traced: parameters and buffers get new values, the code stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from qdiag.loaders.models.file import ModelFile
from qdiag.loaders.models.quiet import quiet_torch
from qdiag.loaders.models.torchscript import read_script
from qdiag.savers.named_tensors import fill, tensors_of
from qdiag.savers.saver import ModelSaver

_EXTRA = "extra/"


@dataclass(frozen=True)
class _Content:
    model: nn.Module
    extra_files: Mapping[str, str | bytes]


def _read(file: ModelFile, trust: bool) -> _Content:
    extra: dict[str, str | bytes] = {name.removeprefix(_EXTRA): "" for name in file.members if name.startswith(_EXTRA)}
    return _Content(read_script(file, trust, extra), extra)


def _tensors(content: _Content) -> Mapping[str, Tensor]:
    return tensors_of(content.model)


def _replaced(content: _Content, values: Mapping[str, Tensor]) -> _Content:
    fill(tensors_of(content.model), values)
    return content


def _write(content: _Content, file: ModelFile, path: Path) -> None:
    del file
    with quiet_torch():
        torch.jit.save(content.model, str(path), _extra_files=dict(content.extra_files))


SAVER: ModelSaver[_Content] = ModelSaver(_read, _tensors, _replaced, _write, _tensors)
