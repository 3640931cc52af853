"""Where a repaired model goes, and the writing of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from qdiag.errors import ConfigError
from qdiag.files.atomic import check_writable
from qdiag.files.target import check_new
from qdiag.loaders.stored_network import encoding_of, holds_integers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from qdiag.loaders.models.tensors import NamedTensors
    from qdiag.subject import Subject


def target_of(model: str, output: Path | None, *, in_place: bool, or_else: str = " or --in-place") -> Path:
    """Where the repaired model goes; what would stop that is found before the long run.

    Args:
        or_else: the options that can stand in for `-o`, for the hint.

    Raises:
        ConfigError, WriteError: no place, or one that cannot be written.
    """
    if in_place:
        if output is not None:
            raise ConfigError("-o and --in-place exclude each other", hint="leave one away")
        if not Path(model).is_file():
            raise ConfigError("--in-place needs a model that is a file", at=model, hint="name the new file with -o")
        check_writable(model, over_input=True)
        return Path(model)
    if output is None:
        raise ConfigError(
            "it is not said where the repaired model is to be written", at="-o", hint=f"give -o FIXED{or_else}"
        )
    check_writable(output)
    return output


def check_quantized_target(target: Path | None, file: str, *, force: bool) -> None:
    """What would stop the writing of a repaired quantized file is found before anything is read.

    Args:
        file: that is diagnosed.

    Raises:
        WriteError: the place cannot be written, or is taken.
        ConfigError: the file is not quantized.
    """
    if target is None:
        return
    check_writable(target)
    check_new(target, force=force)
    if encoding_of(file) is None or holds_integers(file) is False:
        raise ConfigError("no quantized file is given", at="--repaired", hint="give it with --quantized, or as MODEL")


def check_float(model: str) -> None:
    """Weights of a float network are repaired or trained.

    Raises:
        ConfigError: the model is a quantized file.
    """
    if holds_integers(model):
        raise ConfigError(
            "this file is quantized already, and new weights are written into float files alone",
            at=model,
            hint="give the float network that it was made from; qdiag diagnose FLOAT --quantized FILE --repaired OUT "
            "repairs the quantized file",
        )


def save_repaired(
    found: "Subject | NamedTensors",
    changes: "Mapping[str, Tensor]",
    target: Path,
    submodule: str | None,
    *,
    trust: bool,
    force: bool,
    in_place: bool,
) -> None:
    """Writes the model that was read, in its format, with new values for some tensors; see `qdiag.savers.save`."""
    from qdiag.loaders.models.tensors import NamedTensors
    from qdiag.savers.save import save_file, save_subject

    if isinstance(found, NamedTensors):
        prefix = f"{submodule}." if submodule else ""
        named = {prefix + name: value for name, value in changes.items()}
        save_file(Path(found.source), named, target, trust=trust, force=force, in_place=in_place, key=found.key)
    else:
        save_subject(found, changes, target, trust=trust, force=force, in_place=in_place)
