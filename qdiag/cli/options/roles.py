"""Which options name files that are read, and which name files that are written; no output replaces an input.

Every option that takes text has a role, or the tests ask for one. `guarded` then finds a conflict before the command
starts, and the register of what was read finds the rest when something is written.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from qdiag.errors import WriteError
from qdiag.files.register import declare_outputs, note_read, registering
from qdiag.files.target import STDOUT

_PYTHON = re.compile(r"(?P<place>.+):[A-Za-z_][\w.]*")
_FILE_NAME = "diagnosis.json"
"""Of `qdiag.writers.json.diagnosis`, which is imported when something is read."""
REPORT_FILES = (_FILE_NAME, "scheme.toml", "repaired_scheme.toml", "layers.csv", "report.md", "report.html")

BRANCH_FILES = ("branches.json", "branches.csv")
REPRODUCTION_FILES = ("result.json", "report.md", "report.html")

_Command = TypeVar("_Command", bound=Callable[..., None])


def reference_files(value: str) -> Iterator[Path]:
    """The file that a path, `./file.py:name` or `package.module:name` leads to."""
    path = Path(value)
    if path.is_file():
        yield path
    match = _PYTHON.fullmatch(value)
    if match is None:
        return
    place = match["place"]
    if place.endswith(".py"):
        yield Path(place)
    for folder in (Path(), *map(Path, sys.path)):
        for name in (f"{place.replace('.', '/')}.py", f"{place.replace('.', '/')}/__init__.py"):
            if (folder / name).is_file():
                yield folder / name


def data_files(value: str) -> Iterator[Path]:
    """The images and masks below a folder, and the files of their labels."""
    if not Path(value).is_dir():
        yield from reference_files(value)
        return
    from qdiag.loaders.images.images import SUFFIXES
    from qdiag.loaders.images.labels_csv import LABELS_FILE
    from qdiag.loaders.targets.boxes import BOXES_FILE

    known = (LABELS_FILE, BOXES_FILE)
    for folder, _, names in os.walk(value):
        files = (Path(folder, name) for name in names)
        yield from (file for file in files if file.name in known or file.suffix.lower() in SUFFIXES)


def target_files(value: str) -> Iterator[Path]:
    """The masks below a folder, or the file of boxes."""
    yield from data_files(value) if Path(value).is_dir() else itself(value)


def result_files(value: str) -> Iterator[Path]:
    """A stored diagnosis, or the one in a folder."""
    path = Path(value)
    yield path / _FILE_NAME if path.is_dir() else path


def result_or_model_files(value: str) -> Iterator[Path]:
    """What `qdiag gate` judges: a stored result, or a model."""
    yield from result_files(value) if Path(value).is_dir() else reference_files(value)


def itself(value: str) -> Iterator[Path]:
    """The file of that name."""
    yield Path(value)


def trained_files(value: str) -> Iterator[Path]:
    """A trained model, and what `qdiag qat` puts beside it: its scheme, and its state until the training is over."""
    path = Path(value)
    yield from (scheme_beside(path), state_beside(path), path)


def scheme_beside(model: Path) -> Path:
    """The scheme that belongs to a trained model."""
    return model.with_name(f"{model.stem}.scheme.toml")


def state_beside(model: Path) -> Path:
    """Where a training is kept until its model is written."""
    return model.with_name(f"{model.name}.training")


def report_files(value: str) -> Iterator[Path]:
    """Files that a report puts into its folder whatever the network is called."""
    yield from (Path(value) / name for name in REPORT_FILES)


def branch_files(value: str) -> Iterator[Path]:
    """Files that `qdiag branches` puts into its folder, the pictures aside."""
    yield from (Path(value) / name for name in BRANCH_FILES)


def reproduction_files(value: str) -> Iterator[Path]:
    """Files of the report of an experiment, the pictures aside."""
    yield from (Path(value) / name for name in REPRODUCTION_FILES)


def redrawn_files(value: str) -> Iterator[Path]:
    """Files of a report that is drawn again, perhaps beside the diagnosis that it is drawn from."""
    yield from (Path(value) / name for name in REPORT_FILES if name != _FILE_NAME)


@dataclass(frozen=True)
class Reads:
    """The option names something that is read.

    Attributes:
        check: raises an error where nothing is there, before anything large is imported.
    """

    files: Callable[[str], Iterator[Path]] = reference_files
    check: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Writes:
    """The option names a file, or a folder for files, to be written.

    Attributes:
        hint: what to do when it would replace what is read.
    """

    files: Callable[[str], Iterator[Path]] = itself
    hint: str = "give another name"


@dataclass(frozen=True)
class ReadsOrWrites:
    """The option names a file that another option decides to read or to write; the command declares it."""


Role = Reads | Writes | ReadsOrWrites


def role_of(annotation: Any) -> Role | None:
    """The role that stands in the annotation of a parameter."""
    return next((item for item in get_args(annotation)[1:] if isinstance(item, Role)), None)


def guarded(command: _Command) -> _Command:
    """The command with a register of its own, in which its inputs stand before it starts.

    Raises:
        WriteError: an option would write over what another reads.
        ConfigError: two options would write to the same file.
        LoadError, DataError: there is nothing where an option says that something is.
    """
    roles = {name: role_of(hint) for name, hint in get_type_hints(command, include_extras=True).items()}

    @wraps(command)
    def run(**values: Any) -> None:
        named = [(roles[name], str(value)) for name, value in values.items() if roles.get(name) and value is not None]
        outputs = [(role, path) for role, value in named if isinstance(role, Writes) for path in _paths(role, value)]
        with registering():
            either = [Path(value) for role, value in named if isinstance(role, ReadsOrWrites)]
            is_over_something = any(path.is_file() for path in (*either, *(path for _, path in outputs)))
            for role, value in named:
                if isinstance(role, Reads) and role.check is not None:
                    role.check(value)
                # a folder may hold a million files, and only a file that is there can be one of them
                if isinstance(role, Reads) and (is_over_something or not Path(value).is_dir()):
                    for path in role.files(value):
                        note_read(path)
            for role, path in outputs:
                try:
                    declare_outputs((path,))
                except WriteError as error:
                    raise WriteError(error.message, at=error.at, hint=role.hint) from None
            command(**values)

    return run  # type: ignore[return-value]


def _paths(role: Writes, value: str) -> Iterator[Path]:
    return iter(()) if value == STDOUT else role.files(value)
