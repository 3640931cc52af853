"""`.tflite`: a flatbuffer with a network, which is data; nothing in it runs."""

from qdiag.errors import LoadError
from qdiag.files.read import open_regular
from qdiag.loaders.models.file import LoadedModel, LoadOptions, ModelFile, ModelLoader, refuse_arch
from qdiag.loaders.probe import probe
from qdiag.loaders.stored_network import is_litert

_BYTES_MAX = 2 << 30
"""Offsets in a flatbuffer are no larger."""


def matches(file: ModelFile) -> bool:
    """By its identifier."""
    return is_litert(file.head)


def load(file: ModelFile, options: LoadOptions) -> LoadedModel:
    """Through its schema, after a first reading in a child process.

    Raises:
        LoadError: a damaged file, operators that are not known, or types of tensors that are not read.
    """
    from qdiag.litert.load import load_network

    if file.byte_count > _BYTES_MAX:
        raise LoadError(
            f"the file has {file.byte_count >> 20} MiB, and at most {_BYTES_MAX >> 20} are read", at=file.at
        )
    with open_regular(file.path) as stream:
        content = stream.read()
    probe(lambda: load_network(content, file.at), byte_count=file.byte_count, at=file.at)
    network = load_network(content, file.at, kept=options.kept)
    refuse_arch(file, options, "LiteRT")
    return LoadedModel(network, "litert", "LiteRT")


LOADER = ModelLoader("LiteRT", matches, load)
