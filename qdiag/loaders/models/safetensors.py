"""`.safetensors`: named tensors and nothing else; the architecture comes from `--arch`."""

import safetensors.torch
from torch import Tensor

from qdiag.errors import LoadError
from qdiag.loaders.models.architecture import build_architecture, need_arch
from qdiag.loaders.models.file import LoadedModel, LoadOptions, ModelFile, ModelLoader
from qdiag.loaders.models.state_dict import load_weights

_MAX_HEADER_BYTES = 100_000_000  # the limit of the format itself


def matches(file: ModelFile) -> bool:
    """Eight bytes of header length, little-endian, and a JSON header."""
    header_bytes = int.from_bytes(file.head[:8], "little")
    return 2 <= header_bytes <= _MAX_HEADER_BYTES and file.head[8:9] == b"{"


def load(file: ModelFile, options: LoadOptions) -> LoadedModel:
    """The network that `--arch` builds, with the tensors of the file.

    Raises:
        LoadError: a damaged file, no `--arch`, or keys and shapes that do not fit.
    """
    tensors = read_tensors(file)
    arch = need_arch(options.arch, file.at, "a safetensors file holds weights alone")
    model = build_architecture(arch, tensors)
    load_weights(model, tensors, at=file.at, arch=arch)
    return LoadedModel(model, "safetensors", arch)


def read_tensors(file: ModelFile) -> dict[str, Tensor]:
    """The tensors of the file by name.

    Raises:
        LoadError: a damaged file.
    """
    try:
        return safetensors.torch.load_file(file.path)
    except Exception as error:
        raise LoadError(
            "the safetensors file cannot be read",
            at=file.at,
            hint="it is damaged or cut short; copy or save it again",
        ) from error


LOADER = ModelLoader("safetensors", matches, load)
