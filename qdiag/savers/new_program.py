"""A program that no file holds, written as `.pt2`."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from qdiag.errors import WriteError
from qdiag.files.atomic import whole_file
from qdiag.loaders.models.quiet import quiet_torch
from qdiag.savers.named_tensors import fill


def save_program(program: ExportedProgram, changes: Mapping[str, Tensor], path: Path) -> None:
    """Writes the program with new values for some of its tensors; it has its own again afterwards.

    A copy of the program would not do: torch gives the nodes of a copied graph other names than its signature has.

    Raises:
        WriteError: the program has no tensor of that name and shape.
    """
    stored = {name: value for name, value in program.state_dict.items() if isinstance(value, Tensor)}
    for name, value in changes.items():
        if name not in stored or stored[name].shape != value.shape:
            raise WriteError(f"it holds no tensor {name} of shape {tuple(value.shape)}", at=str(path))
    own = {name: stored[name].detach().clone() for name in changes}
    try:
        fill(stored, changes)
        with whole_file(path) as part, quiet_torch(), part.open("wb") as stream:
            torch.export.save(program, stream)
    finally:
        fill(stored, own)
