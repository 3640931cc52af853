"""`.onnx`: a protocol buffer with a network, which is data; nothing in it runs."""

from functools import partial
from pathlib import Path

from qdiag.errors import LoadError
from qdiag.files.read import open_regular
from qdiag.files.refusal import refusal
from qdiag.loaders.models.file import HEAD_BYTES, LoadedModel, LoadOptions, ModelFile, ModelLoader, refuse_arch
from qdiag.loaders.probe import probe
from qdiag.loaders.stored_network import is_onnx
from qdiag.onnx.read import with_tensors
from qdiag.onnx.wire.relocate import locations

_BYTES_MAX = 2 << 30
"""A protocol buffer cannot be larger."""


def matches(file: ModelFile) -> bool:
    """By its first fields."""
    return is_onnx(file.head)


def load(file: ModelFile, options: LoadOptions) -> LoadedModel:
    """Through `onnx-ir`, after a first reading in a child process.

    Raises:
        LoadError: a damaged file, tensors that are not there, operators that are not known, or a network that is
            quantized while it runs.
    """
    from qdiag.onnx.load import load_network

    content = read_whole(file)
    beside = partial(read_beside, file.path)
    probe(lambda: load_network(content, file.at, beside), byte_count=_bytes_with(file), at=file.at)
    network = load_network(content, file.at, beside, kept=options.kept)
    refuse_arch(file, options, "ONNX")
    return LoadedModel(network, "onnx", "ONNX")


def read_whole(file: ModelFile) -> bytes:
    """The file without those beside it.

    Raises:
        LoadError: it is larger than a protocol buffer can be.
    """
    if file.byte_count > _BYTES_MAX:
        raise LoadError(
            f"the file has {file.byte_count >> 20} MiB, and a protocol buffer at most {_BYTES_MAX >> 20}",
            at=file.at,
            hint="save the network with its tensors in a file beside it",
        )
    with open_regular(file.path) as stream:
        return stream.read()


def self_contained(path: Path) -> bytes:
    """A file with the tensors that stand in files beside it put inside; any other file as it is.

    Raises:
        LoadError: see `with_tensors`.
    """
    with open_regular(path) as stream:
        content = stream.read()
    if not is_onnx(content[:HEAD_BYTES]) or not locations(content):
        return content
    return with_tensors(content, str(path), partial(read_beside, path), bytes_max=_BYTES_MAX)


def read_beside(path: Path, name: str, start: int = 0, length: int | None = None) -> bytes:
    """A part of a file with tensors of the ONNX file at a path: in the same folder or below it, whatever links say.

    Args:
        start, length: which bytes; None: all behind the start. Fewer come back where the file is shorter.

    Raises:
        LoadError: it is elsewhere, is not there, or cannot be read.
    """
    folder, wanted = path.resolve().parent, (path.resolve().parent / name).resolve()
    hint = "put that file beside the ONNX file, or save it with its tensors inside"
    if not name or Path(name).is_absolute() or not wanted.is_relative_to(folder):
        raise LoadError(f"its tensors stand in {name!r}, outside of its folder, which is not read", hint=hint)
    try:
        with open_regular(wanted) as stream:
            stream.seek(start)
            return stream.read(-1 if length is None else min(length, wanted.stat().st_size))
    except OSError as error:
        raise LoadError(f"its tensors stand in {name!r}: {refusal(error)}", hint=hint) from error


def _bytes_with(file: ModelFile) -> int:
    """The size with that of all files beside it, which may hold its tensors."""
    return file.byte_count + sum(entry.stat().st_size for entry in file.path.parent.iterdir() if entry.is_file())


LOADER = ModelLoader("ONNX", matches, load)
