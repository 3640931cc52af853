"""Two files that belong together: both get their names, or neither does."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qdiag.errors import WriteError
from qdiag.files.atomic import mode_of
from qdiag.files.refusal import refusal
from qdiag.files.register import forget
from qdiag.files.target import check_writable


@contextmanager
def whole_files(target: Path, beside: Path, *, over_input: bool = False) -> Iterator[Path]:
    """A path in a temporary folder; it and its neighbour of the name of `beside` are to be written inside the block.

    Args:
        target, beside: in the same folder.
        over_input: as for `write_file`, for both.

    Raises:
        WriteError: as `whole_file`. What lay in either place before is then untouched.
    """
    found = check_writable(target, over_input=over_input)
    if found is None or found.is_stream:
        raise WriteError("two files are written, and this is none", at=str(target), hint="give the name of a file")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent))
        try:
            yield folder / target.name
            for new in (target, beside):
                check_writable(new, over_input=over_input)  # asked again: it may have been read since
                _settle(folder / new.name, new)
            _rename(folder, target, beside)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise WriteError(f"it cannot be written: {refusal(error)}", at=str(target)) from error


def _settle(written: Path, new: Path) -> None:
    """The permissions of what is replaced; a rename may reach the disk before the bytes do."""
    written.chmod(mode_of(new))
    with written.open("rb") as file:
        os.fsync(file.fileno())


def _rename(folder: Path, target: Path, beside: Path) -> None:
    """The second file first: a file that is replaced comes back when the other cannot be."""
    old = folder / f"{beside.name}.old"
    for path in (target, beside):
        forget(path)  # the system gives its inode to the next new file
    try:
        if os.path.lexists(beside):
            beside.replace(old)
        (folder / beside.name).replace(beside)
        (folder / target.name).replace(target)
    except BaseException:
        if os.path.lexists(old):
            old.replace(beside)
        elif not os.path.lexists(folder / beside.name):
            beside.unlink(missing_ok=True)
        raise
    for path in (target, beside):
        forget(path)  # a saver reads back what it wrote
