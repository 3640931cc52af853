"""Where a repaired model goes, and the writing of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from qdiag.errors import ConfigError
from qdiag.files.atomic import check_writable
from qdiag.files.target import check_new

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from qdiag.loaders.models.tensors import NamedTensors
    from qdiag.pipeline.begin import Experiment
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


def check_quantized_target(target: Path | None, *, force: bool) -> None:
    """What would stop the writing of a repaired quantized file is found before anything is read.

    Raises:
        WriteError: the place cannot be written, or is taken.
    """
    if target is not None:
        check_writable(target)
        check_new(target, force=force)


def check_is_deployed(experiment: "Experiment", target: Path | None) -> None:
    """A repaired quantized file is wanted, and a quantized file is diagnosed.

    Raises:
        ConfigError: none is.
    """
    if target is not None and experiment.deployed is None:
        raise ConfigError("no quantized file is given", at="--repaired", hint="give it with --quantized, or as MODEL")


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
