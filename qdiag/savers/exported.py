"""`.pt2` of `torch.export.save`: the state dict gets new values, graph and guards stay.

A file in the layout of torch 2.7 and before comes out in the layout of the torch that writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from qdiag.loaders.models.exported import read_program
from qdiag.loaders.models.file import ModelFile
from qdiag.loaders.models.quiet import quiet_torch
from qdiag.savers.named_tensors import fill
from qdiag.savers.saver import ModelSaver

_EXTRA = ("extra/", "extra_files/")  # the layout of today, and the one of torch 2.7 and before


@dataclass(frozen=True)
class _Content:
    program: ExportedProgram
    extra_files: Mapping[str, str | bytes]


def _read(file: ModelFile, trust: bool) -> _Content:
    extra: dict[str, str | bytes] = {
        name.removeprefix(folder): "" for folder in _EXTRA for name in file.members if name.startswith(folder)
    }
    return _Content(read_program(file, trust, extra), extra)


def _tensors(content: _Content) -> dict[str, Tensor]:
    program = content.program
    constants = {name: value for name, value in program.constants.items() if isinstance(value, Tensor)}
    return {**constants, **{name: value for name, value in program.state_dict.items() if isinstance(value, Tensor)}}


def _replaced(content: _Content, values: Mapping[str, Tensor]) -> _Content:
    fill(_tensors(content), values)
    return content


def _write(content: _Content, file: ModelFile, path: Path) -> None:
    del file
    with quiet_torch(), path.open("wb") as stream:
        torch.export.save(content.program, stream, extra_files=dict(content.extra_files))


SAVER: ModelSaver[_Content] = ModelSaver(_read, _tensors, _replaced, _write, _tensors)
