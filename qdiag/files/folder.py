"""A folder for what is written."""

from pathlib import Path

from qdiag.errors import WriteError
from qdiag.files.refusal import refusal


def make_folder(folder: Path) -> None:
    """Makes it, and those above it, where they are missing.

    Raises:
        WriteError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"the folder cannot be made: {refusal(error)}", at=str(folder)) from error
