"""What `torch.save` wrote: a state dict, a training checkpoint, or a whole pickled module.

The restricted unpickler (`weights_only=True`) always goes first. What it refuses is a program, run only with trust.
"""

import pickle
import pickletools
import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import nn

from qdiag.errors import LoadError, UntrustedError
from qdiag.files.code_failure import code_failure
from qdiag.files.read import open_regular
from qdiag.loaders.archive import check_sums
from qdiag.loaders.models.architecture import build_architecture, need_arch
from qdiag.loaders.models.file import LoadedModel, LoadOptions, ModelFile, ModelLoader, refuse_arch
from qdiag.loaders.models.quiet import quiet_torch, weights_only_forced
from qdiag.loaders.models.state_dict import find_model, load_weights
from qdiag.loaders.probe import probe

_LEGACY_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")  # first object of torch.save before torch 1.6
_LEGACY_HEADERS = 3  # pickles before the saved object: the magic number, a version and facts about the machine
_TRUST_HINT = (
    "if you trust where it comes from, add `trust`; or save model.state_dict() and give the network with `arch`"
)
_FAILED_HINT = "it may be damaged, or need another version of its libraries; a state dict with `arch` needs neither"
_DAMAGED_HINT = "it is damaged or cut short; copy or save it again"


def matches(file: ModelFile) -> bool:
    """A zip archive with a `data.pkl` and no TorchScript in it, or a bare pickle."""
    if file.members:
        return "data.pkl" in file.members and "constants.pkl" not in file.members
    return _is_pickle(file)


def load(file: ModelFile, options: LoadOptions) -> LoadedModel:
    """The module in the file, or the network of `--arch` with the state dict of the file.

    Raises:
        UntrustedError: the file is a pickle that would have to be executed, and `options.trust` is not set.
        LoadError: a damaged file, no model in it, no `--arch` for a state dict, or weights that do not fit.
    """
    found = find_model(read_content(file, options.trust), file.at, file.key)
    if isinstance(found, nn.Module):
        name = type(found).__name__
        refuse_arch(file, options, f"a whole {name}")
        return LoadedModel(found, "pickle", name)
    arch = need_arch(options.arch, file.at, "the file holds a state dict, weights alone")
    model = build_architecture(arch, found)
    load_weights(model, found, at=file.at, arch=arch)
    return LoadedModel(model, "checkpoint", arch)


def read_content(file: ModelFile, trust: bool) -> object:
    """Everything that was saved, tensors on the CPU.

    Raises:
        UntrustedError, LoadError: as `load`.
    """
    if not file.members and not is_legacy(file):
        # torch.load would execute its first object before seeing that the file is none of its own.
        return _plain_pickle(file, trust)
    if file.members:
        check_sums(file.path)
    try:
        probe(lambda: _restricted(file), byte_count=file.byte_count, at=file.at)
        return _restricted(file)
    except LoadError:
        raise
    except pickle.UnpicklingError as error:
        if not _is_whole(file):
            raise LoadError("the file cannot be read to its end", at=file.at, hint=_DAMAGED_HINT) from error
        if not trust:
            raise _untrusted(file, str(error)) from None
    except Exception as error:
        raise LoadError("torch cannot read it", at=file.at, hint=_DAMAGED_HINT) from error
    with quiet_torch(), open_regular(file.path) as stream, _explained(file):
        return torch.load(stream, map_location="cpu", weights_only=False)


def _restricted(file: ModelFile) -> object:
    # An open file rather than a path: torch.load looks at the extension of a path, and extensions lie.
    with quiet_torch(), weights_only_forced(), open_regular(file.path) as stream:
        return torch.load(stream, map_location="cpu", weights_only=True)


def _plain_pickle(file: ModelFile, trust: bool) -> object:
    if not _is_whole(file):
        raise LoadError("the pickle cannot be read to its end", at=file.at, hint=_DAMAGED_HINT)
    if not trust:
        raise _untrusted(file, "")
    with quiet_torch(), open_regular(file.path) as stream, _explained(file):
        return pickle.load(stream)


def _untrusted(file: ModelFile, message: str) -> UntrustedError:
    wanted = re.search(r"GLOBAL (\S+)", message)
    what = f" (it asks for {wanted[1]})" if wanted else ""
    return UntrustedError(f"reading it would execute a pickle, that is, code{what}", at=file.at, hint=_TRUST_HINT)


def _missing(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f": there is no Python module {error.name}"
    found = re.search(r"attribute '(\w+)'", str(error))
    return f": its module has no {found[1]}" if found else ""


@contextmanager
def _explained(file: ModelFile) -> Iterator[None]:
    """A trusted pickle runs inside: with the current folder on the path, and its failures put into words."""
    # Classes are looked up by name, and a console script does not have the current folder on its path.
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    except (ImportError, AttributeError) as error:
        raise LoadError(
            f"the class of the pickled module cannot be imported{_missing(error)}",
            at=file.at,
            hint="run from the folder of its code or install it; "
            "or save model.state_dict() and give the network with `arch=./net.py:factory`",
        ) from error
    except (Exception, SystemExit) as error:
        raise LoadError(f"executing the pickle failed: {code_failure(error)}", at=file.at, hint=_FAILED_HINT) from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _is_pickle(file: ModelFile) -> bool:
    # Protocol 2 and later; the protocols before it have no mark, and torch never wrote them.
    return file.head[:1] == b"\x80" and file.head[1:2] <= bytes([pickle.HIGHEST_PROTOCOL])


def is_legacy(file: ModelFile) -> bool:
    """Whether torch.save wrote it in its form of before torch 1.6, which is no zip archive."""
    # At the very start: tensors inside a plain pickle have the number too, further on.
    return _LEGACY_MAGIC in file.head[:24]


def _is_whole(file: ModelFile) -> bool:
    """Whether the pickle of the saved object is there to its last instruction; nothing is executed."""
    try:
        if not file.members:
            with open_regular(file.path) as stream:
                _skim(stream, _LEGACY_HEADERS + 1 if is_legacy(file) else 1)
            return True
        with zipfile.ZipFile(file.path) as archive:
            name = next(name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")
            with archive.open(name) as stream:
                _skim(stream, 1)  # type: ignore[arg-type]
    except Exception:
        return False
    return True


def _skim(stream: BinaryIO, pickles: int) -> None:
    for _ in range(pickles):
        for _instruction in pickletools.genops(stream):
            pass


LOADER = ModelLoader("torch.save", matches, load)
