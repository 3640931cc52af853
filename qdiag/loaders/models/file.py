"""What a model file starts with and what it contains: enough to tell formats apart without reading it."""

import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from torch.export import ExportedProgram

from qdiag.errors import LoadError
from qdiag.files.read import open_regular
from qdiag.files.refusal import refusal
from qdiag.loaders.archive import member_names, root_of
from qdiag.subject import ModelFormat

HEAD_BYTES = 512


@dataclass(frozen=True)
class ModelFile:
    """A file, peeked at.

    Attributes:
        path: an existing, non-empty file.
        head: its first bytes, at most `HEAD_BYTES`.
        byte_count: size on disk.
        members: names in a zip archive, without the archive's own root folder; empty for other files.
        key: where the weights are in a checkpoint, see `state_dict.find_model`; None: they are looked for.
    """

    path: Path
    head: bytes
    byte_count: int
    members: frozenset[str]
    key: str | None = None

    @property
    def at(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class LoadOptions:
    """What the user allows and adds.

    Attributes:
        arch: reference of a factory that builds the network for a state dict.
        trust: pickles may be executed.
        key: where the weights are in a checkpoint.
        kept: tensors of the file that are not put together with others to one operation.
    """

    arch: str | None = None
    trust: bool = False
    key: str | None = None
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LoadedModel:
    """A model, and what kind of file it came from.

    Attributes:
        architecture: class name, or the `--arch` reference that built it.
    """

    model: nn.Module | ExportedProgram
    format: ModelFormat
    architecture: str


@dataclass(frozen=True)
class ModelLoader:
    """One format: `matches` looks at content alone, `load` reads the model or raises `LoadError`."""

    name: str
    matches: Callable[[ModelFile], bool]
    load: Callable[[ModelFile, LoadOptions], LoadedModel]


def peek(path: Path, key: str | None = None) -> ModelFile:
    """Reads the first bytes and, of a zip archive, the list of members.

    Raises:
        LoadError: a file that is empty or cannot be opened, or an archive that two readers could understand
            differently.
    """
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
            byte_count = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise LoadError(f"it cannot be opened: {refusal(error)}", at=str(path)) from error
    if not head:
        raise LoadError("the file is empty", at=str(path), hint="copy or save it again")
    return ModelFile(path, head, byte_count, _members(path, head), key)


def _members(path: Path, head: bytes) -> frozenset[str]:
    if not head.startswith(b"PK"):
        return frozenset()
    try:
        names = member_names(path)
    except zipfile.BadZipFile:
        return frozenset()  # cut short: no reader recognizes it, and the message says why
    # torch puts every member below one folder, which is named after the file that was first written.
    root = root_of(names)
    return frozenset(name.removeprefix(root) for name in names)


def refuse_arch(file: ModelFile, options: LoadOptions, what: str) -> None:
    """Raises `LoadError` when `--arch` is given for a file that needs none."""
    if options.arch is not None:
        raise LoadError(
            f"this file already holds its architecture ({what})",
            at=file.at,
            hint="leave `arch` out; it is for state dicts and .safetensors files",
        )
