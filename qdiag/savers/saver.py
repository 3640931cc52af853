"""What writing back one format takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from torch import Tensor

from qdiag.loaders.models.file import ModelFile

Content = TypeVar("Content")


def nothing_beside(file: ModelFile, path: Path) -> None:
    """A format of single files."""
    del file, path


@dataclass(frozen=True)
class ModelSaver(Generic[Content]):
    """One format.

    Attributes:
        read: the content of a file, everything that has to be written again, apart from any model read before; the
            second argument allows pickles to be executed.
        tensors: the model's tensors by the names that they have in the file.
        replaced: the content with new values for some of those names, in the stored shapes and dtypes. May change and
            return the content that it is given.
        write: the content as a new file at a path; the first file says in which form.
        leaves: every tensor in the content by a name of its own, those of other keys included, to compare files by.
        beside: of a file that is read, and the path of the new one, where `write` puts a second file, and the files
            that hold values of the first; None where it writes one alone.
    """

    read: Callable[[ModelFile, bool], Content]
    tensors: Callable[[Content], Mapping[str, Tensor]]
    replaced: Callable[[Content, Mapping[str, Tensor]], Content]
    write: Callable[[Content, ModelFile, Path], None]
    leaves: Callable[[Content], Mapping[str, Tensor]]
    beside: Callable[[ModelFile, Path], tuple[Path, tuple[Path, ...]] | None] = nothing_beside
