"""The door to writing: a repaired model in the format that it was read in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from qdiag.errors import LoadError, QdiagError, WriteError
from qdiag.files.atomic import whole_file
from qdiag.files.pair import whole_files
from qdiag.files.target import check_new
from qdiag.loaders.models import checkpoint as model_checkpoint
from qdiag.loaders.models import exported as model_exported
from qdiag.loaders.models import safetensors as model_safetensors
from qdiag.loaders.models import torchscript as model_torchscript
from qdiag.loaders.models.file import ModelFile, ModelLoader, peek
from qdiag.loaders.models.foreign import refuse_file
from qdiag.loaders.models.operations import litert as model_litert
from qdiag.loaders.models.operations import onnx as model_onnx
from qdiag.loaders.models.state_dict import stored_names
from qdiag.numerics.tensor_bytes import tensor_bytes
from qdiag.savers import checkpoint, exported, litert, onnx, safetensors, torchscript
from qdiag.savers.beside import check_beside
from qdiag.savers.new_program import save_program
from qdiag.savers.saver import ModelSaver
from qdiag.subject import Subject

SAVERS: tuple[tuple[ModelLoader, ModelSaver[Any]], ...] = (
    (model_exported.LOADER, exported.SAVER),
    (model_torchscript.LOADER, torchscript.SAVER),
    (model_checkpoint.LOADER, checkpoint.SAVER),
    (model_safetensors.LOADER, safetensors.SAVER),
    (model_onnx.LOADER, onnx.SAVER),
    (model_litert.LOADER, litert.SAVER),
)
"""Who tells a format apart, and who writes it back; the first that matches."""
_REPORT = "nothing was replaced; please report this"


def save_subject(
    subject: Subject,
    changes: Mapping[str, Tensor],
    target: str | Path,
    *,
    trust: bool = False,
    force: bool = False,
    in_place: bool = False,
) -> None:
    """Writes the model's file again with new values for some tensors; everything else in it stays as it was.

    The file is read anew, so neither the subject nor what was read for it is touched. Optimizer states and other keys,
    prefixes such as `module.`, dtypes and metadata are kept; tensors are written for the CPU. A network that code built
    becomes a state dict, a program that no file holds a `.pt2`. What was written is read back and compared before it
    gets its name.

    Args:
        changes: new values by parameter or buffer name in `subject.model`, in the shapes they have there.
        target: a path.
        trust: pickles in the file may be executed; needed where reading it needed it.
        force: replace `target` if it is there, unless it is the file that was read.
        in_place: replace the file that was read, if `target` names it.

    Raises:
        WriteError: `target` is there and may not be, it cannot be written, the file has no tensor of that name
            and shape, or what was written reads back differently.
        UntrustedError, LoadError: the file cannot be read any more.
    """
    prefix = f"{subject.submodule}." if subject.submodule else ""
    named = {prefix + name: value for name, value in changes.items()}
    root = subject.parent if subject.parent is not None else subject.model
    source = Path(subject.source)
    if subject.format == "module" or not source.is_file():
        path = _resolved(source, target, force=force, in_place=in_place)
        if isinstance(root, nn.Module):
            _save_new(root, named, path)
        else:
            save_program(root, named, path)
        return
    if subject.format in ("checkpoint", "safetensors") and isinstance(root, nn.Module):
        save_file(source, named, target, network=root, trust=trust, force=force, in_place=in_place, key=subject.key)
    else:
        save_file(source, named, target, trust=trust, force=force, in_place=in_place, key=subject.key)


def save_file(
    source: Path,
    changes: Mapping[str, Tensor],
    target: str | Path,
    *,
    network: nn.Module | None = None,
    trust: bool = False,
    force: bool = False,
    in_place: bool = False,
    key: str | None = None,
) -> None:
    """As `save_subject`, for a file.

    Args:
        changes: new values by the names in the file, or by those of `network` where it is given.
        network: what the weights in the file belong to.
        key: where they are in a checkpoint; by default they are looked for.
    """
    path = _resolved(source, target, force=force, in_place=in_place)
    file = peek(source, key)
    saver = _saver(file)
    content = saver.read(file, trust)
    stored = saver.tensors(content)
    names = stored_names(stored, network.state_dict()) if network is not None else {name: name for name in stored}
    if network is not None:
        names = _with_aliases(names, network)
    values = _fitted(changes, names, stored, source)
    edited = saver.replaced(content, values)
    beside = check_beside(saver, file, path, force=force, in_place=in_place)
    with whole_files(path, beside, over_input=in_place) if beside else whole_file(path, over_input=in_place) as part:
        _write(saver, edited, file, part)
        _check(saver, edited, part, path, trust, key)


def check_target(source: str | Path, target: str | Path, *, force: bool, in_place: bool = False) -> None:
    """Finds out before a long run what would stop `save_subject` after it.

    Args:
        force: `target` may be there, unless it is `source`.
        in_place: it may be `source`.

    Raises:
        WriteError: `target` is there and may not be.
    """
    path = Path(target)
    if not path.exists():
        return
    if Path(source).exists() and path.samefile(source):
        if not in_place:
            raise WriteError("this is the model that was read", at=str(path), hint="`in_place` replaces it")
    else:
        check_new(path, force=force)


def check_files(source: str | Path, target: str | Path, *, force: bool, in_place: bool = False) -> None:
    """As `check_target`, and for the second file that some formats are written with.

    Raises:
        WriteError: one of them is there and may not be. LoadError: `source` is a file of no format.
    """
    path = _resolved(source, target, force=force, in_place=in_place)
    if Path(source).is_file():
        file = peek(Path(source))
        check_beside(_saver(file), file, path, force=force, in_place=in_place)


def _resolved(source: str | Path, target: str | Path, *, force: bool, in_place: bool) -> Path:
    check_target(source, target, force=force, in_place=in_place)
    path = Path(target)
    return path.resolve() if path.is_symlink() else path  # the link stays, and what it names is replaced


def _saver(file: ModelFile) -> ModelSaver[Any]:
    for loader, saver in SAVERS:
        if loader.matches(file):
            return saver
    raise refuse_file(file)


def _with_aliases(names: Mapping[str, str], network: nn.Module) -> dict[str, str]:
    """Also the names of tensors that the network shares under a name which the file has."""
    found = dict(names)
    by_tensor: dict[int, str] = {}
    tensors = network.state_dict(keep_vars=True)
    for name, stored in names.items():
        by_tensor.setdefault(id(tensors[name]), stored)
    for name, tensor in tensors.items():
        if name not in found and id(tensor) in by_tensor:
            found[name] = by_tensor[id(tensor)]
    return found


def _fitted(
    changes: Mapping[str, Tensor], names: Mapping[str, str], stored: Mapping[str, Tensor], source: Path
) -> dict[str, Tensor]:
    """The values by stored name, in stored dtype, under every name that shares the same tensor."""
    values: dict[str, Tensor] = {}
    for name, value in changes.items():
        if name not in names:
            raise WriteError(
                f"this file holds no tensor {name}", at=str(source), hint="a frozen program has its weights in its code"
            )
        old = stored[names[name]]
        if old.shape != value.shape:
            told = f"{name} has shape {tuple(old.shape)} in this file, not {tuple(value.shape)}"
            raise WriteError(told, at=str(source), hint="repair the file that the network was read from")
        new = value.detach().to(old.dtype)
        for other, tensor in stored.items():
            if other == names[name] or _is_same_memory(tensor, old):
                values[other] = new
    return values


def _is_same_memory(a: Tensor, b: Tensor) -> bool:
    return a.numel() > 0 and a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride()


def _write(saver: ModelSaver[Any], content: Any, file: ModelFile, part: Path) -> None:
    try:
        saver.write(content, file, part)
    except (QdiagError, OSError):
        raise
    except Exception as error:
        hint = "save the network in another format, and repair that file"
        raise WriteError("the changes cannot be written in this format", at=str(file.path), hint=hint) from error


def _check(saver: ModelSaver[Any], content: Any, part: Path, target: Path, trust: bool, key: str | None) -> None:
    """Reads back what was written; raises `WriteError` where it differs from `content`."""
    try:
        written = saver.leaves(saver.read(peek(part, key), trust))
    except LoadError as error:
        told = f"what was written cannot be read back: {error.message}"
        raise WriteError(told, at=str(target), hint=_REPORT) from error
    meant = saver.leaves(content)
    wrong = sorted(meant.keys() ^ written.keys()) or [n for n, x in meant.items() if not _is_equal(x, written[n])]
    if wrong:
        raise WriteError(f"what was written reads back differently: {wrong[0]}", at=str(target), hint=_REPORT)


def _is_equal(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    # bit by bit, so that NaN equals itself and 0 does not equal -0
    return a.is_meta or a.is_quantized or tensor_bytes(a).equal(tensor_bytes(b))


def _save_new(model: nn.Module, changes: Mapping[str, Tensor], path: Path) -> None:
    """A state dict for a network that no file holds; `.safetensors` where the path ends so."""
    state = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    values = _fitted(changes, {name: name for name in state}, state, path)
    state = {name: values.get(name, value).detach().clone() for name, value in state.items()}
    with whole_file(path) as part:
        if path.suffix == ".safetensors":
            part.write_bytes(to_safetensors(state))
        else:
            torch.save(state, part)
