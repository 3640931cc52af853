"""Results that show themselves in Python and in notebooks.

Results are plain numbers, and know no writer. The package root says which module shows them; it is imported when
somebody asks.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from qdiag.core.presentation.sameness import is_same

_shown_by: list[str] = []


def present_with(module: str) -> None:
    """Names the module that shows results: it has a function for each method of `Presented`."""
    _shown_by[:] = [module]


def _room() -> Any:
    return import_module(_shown_by[0])


class Presented:
    """A result with a short text, a page, tables and pictures.

    Its class is a dataclass without `__eq__` of its own: what was stored and read again is the same result, though it
    holds NaN wherever nothing was measured.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return is_same(self, other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Three lines at most: what it is, what was found, what to ask it next."""
        text: str = _room().short_text(self)
        return text

    def _repr_html_(self) -> str:
        """What a notebook shows: the first page of the report, without scripts."""
        page: str = _room().first_page(self)
        return page

    def summary(self) -> str:
        """What was found, as plain text of a few lines."""
        text: str = _room().summary(self)
        return text

    def to_pandas(self, table: str = "layers") -> Any:
        """A table as a pandas DataFrame; every result has `layers`, a diagnosis also `causes` and `trials`.

        Raises:
            ConfigError: there is no such table; names those that there are.
        """
        return _room().frame(self, table)

    def plot(self, picture: str | None = None) -> Any:
        """A picture as a matplotlib Figure: the first one, or that of this name.

        Raises:
            ConfigError: there is no such picture; names those that there are.
        """
        return _room().figure(self, picture)

    def save(self, path: str | Path) -> Path:
        """Writes the result as JSON, and returns where.

        Raises:
            WriteError: it cannot be written.
        """
        written: Path = _room().save(self, path)
        return written


class Held:
    """A result of other results, with a short text."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Three lines at most: what was held against what, what came of it, what to ask it next."""
        text: str = _room().held_text(self)
        return text


class PresentedDiagnosis(Presented):
    """A diagnosis, which has a report too."""

    __slots__ = ()

    def report(self, folder: str | Path) -> Path:
        """Writes the report into a folder, which is made where it is missing, and returns the path of report.html.

        Raises:
            WriteError: a file cannot be written.
        """
        page: Path = _room().write_folder(self, folder)
        return page
