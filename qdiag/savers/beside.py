"""The second file that some formats are written with: where it goes, and what would stop that."""

from pathlib import Path
from typing import Any

from qdiag.errors import WriteError
from qdiag.files.target import check_new, check_writable
from qdiag.loaders.models.file import ModelFile
from qdiag.savers.saver import ModelSaver


def check_beside(saver: ModelSaver[Any], file: ModelFile, path: Path, *, force: bool, in_place: bool) -> Path | None:
    """Where a second file is written, if one is; what lies there is replaced as `path` is.

    Raises:
        WriteError: it is there and may not be.
    """
    found = saver.beside(file, path)
    if found is None:
        return None
    beside, read = found
    is_own = beside.exists() and any(one.exists() and beside.samefile(one) for one in read)
    if is_own and not in_place:
        raise WriteError("this holds values of the model that was read", at=str(beside), hint="give another name")
    if not is_own:
        check_new(beside, force=force)
        check_writable(beside)
    return beside
