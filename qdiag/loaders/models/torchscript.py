"""TorchScript: what `torch.jit.save` wrote, scripted or traced."""

import io
from typing import Any

import torch
from torch import nn

from qdiag.errors import LoadError, UntrustedError
from qdiag.loaders.archive import read_archive, root_of, write_archive
from qdiag.loaders.models.file import LoadedModel, LoadOptions, ModelFile, ModelLoader, refuse_arch
from qdiag.loaders.models.quiet import quiet_torch, unheard
from qdiag.loaders.models.screens.storages import damaged_storage
from qdiag.loaders.models.screens.torchscript import screen_script
from qdiag.loaders.models.torchscript_prints import without_prints
from qdiag.loaders.probe import probe

_READ_BY_TORCH = ("data.pkl", "constants.pkl", "version", ".data/version", "byteorder")
_FOLDERS_READ = ("data/", "constants/", "extra/")
_TRUST_HINT = (
    "TorchScript is code; if you trust where it comes from, add `trust`; or save model.state_dict() and give the "
    "network with `arch`"
)
_QUANTIZED_HINT = "give the float model; qdiag quantizes it itself"


def matches(file: ModelFile) -> bool:
    """A zip archive with the constants table and code that only TorchScript has."""
    return "constants.pkl" in file.members and any(name.startswith("code/") for name in file.members)


def load(file: ModelFile, options: LoadOptions) -> LoadedModel:
    """Through torch's own TorchScript reader; no Python pickle is involved.

    Raises:
        UntrustedError: its code calls something that is not known to be harmless, and `options.trust` is not set.
        LoadError: a damaged archive, operators that this torch does not know, or a network that is quantized already.
    """
    refuse_arch(file, options, "TorchScript")
    model = read_script(file, options.trust, prints=False)
    return LoadedModel(model, "torchscript", str(getattr(model, "original_name", type(model).__name__)))


def read_script(
    file: ModelFile, trust: bool, extra_files: dict[str, Any] | None = None, *, prints: bool = True
) -> nn.Module:
    """The module; `extra_files` as in `torch.jit.load`.

    Args:
        prints: keep the statements that print; without them, a model that is measured prints nothing.

    Raises:
        UntrustedError, LoadError: as `load`.
    """
    members = read_archive(file.path)
    root = root_of(tuple(members))
    read = {name: content for name, content in members.items() if _is_read(name.removeprefix(root))}
    named = {name.removeprefix(root): content for name, content in read.items()}
    facts = screen_script(named)
    if facts.quantized is not None:
        raise LoadError(
            f"this TorchScript is quantized already: it holds {facts.quantized}", at=file.at, hint=_QUANTIZED_HINT
        )
    if facts.code is not None and not trust:
        raise UntrustedError(f"running it could do more than compute: {facts.code}", at=file.at, hint=_TRUST_HINT)
    damaged = damaged_storage(named)
    if damaged is not None:
        raise LoadError(
            f"the TorchScript archive cannot be read: {damaged}",
            at=file.at,
            hint="it is damaged; copy or save it again",
        )
    if not prints:
        read = {name: without_prints(text) if name.endswith(".py") else text for name, text in read.items()}
    archive = write_archive(read)
    if not trust:  # with trust, its code may have effects, and they are wanted once
        probe(lambda: _load(archive, None), byte_count=file.byte_count, at=file.at)
    try:
        return _load(archive, extra_files)
    except Exception as error:
        raise LoadError(
            "the TorchScript archive cannot be read",
            at=file.at,
            hint="it is damaged, or needs custom operators or another version of torch; save it again with this one",
        ) from error


def _load(archive: io.BytesIO, extra_files: dict[str, Any] | None) -> nn.Module:
    archive.seek(0)
    with quiet_torch(), unheard():
        model: nn.Module = torch.jit.load(archive, map_location="cpu", _extra_files=extra_files)  # type: ignore[no-untyped-call]
    return model


def _is_read(name: str) -> bool:
    """What torch needs; the places of the source in the archive of whoever wrote it are left out."""
    return (
        name in _READ_BY_TORCH or name.startswith(_FOLDERS_READ) or (name.startswith("code/") and name.endswith(".py"))
    )


LOADER = ModelLoader("TorchScript", matches, load)
