"""Weights without a network: what `qdiag bn` reads of a state dict when nobody says how the network is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from qdiag.errors import LoadError
from qdiag.loaders.models import checkpoint as model_checkpoint
from qdiag.loaders.models import safetensors as model_safetensors
from qdiag.loaders.models.file import peek
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.models.state_dict import check_float, find_model
from qdiag.loaders.models.submodule import take_submodule
from qdiag.loaders.models.values import check_finite, check_finite_tensors
from qdiag.subject import ModelFormat, Subject


@dataclass(frozen=True)
class NamedTensors:
    """Weights by name, in the order of the file, float64 and half precision widened or cut to float32."""

    tensors: Mapping[str, Tensor]
    source: str
    format: ModelFormat
    key: str | None = None


def load_subject_or_tensors(
    ref: str | Path,
    *,
    arch: str | None = None,
    trust: bool = False,
    submodule: str | None = None,
    key: str | None = None,
) -> Subject | NamedTensors:
    """The model, or its weights alone where the file holds no more and `arch` is not given.

    Args:
        ref, arch, trust, key: as in `load_subject`.
        submodule: path of the part to look at; names are then those below it.

    Raises:
        UntrustedError, ConfigError, LoadError: as `load_subject`.
    """
    found = _weights_alone(str(ref), trust, key) if arch is None and Path(ref).is_file() else None
    if found is None:
        return load_subject(ref, arch=arch, trust=trust, submodule=submodule, key=key)
    if submodule is None:
        return found
    if isinstance(found, Subject):
        return take_submodule(found, submodule)
    prefix = f"{submodule}."
    part = {name.removeprefix(prefix): tensor for name, tensor in found.tensors.items() if name.startswith(prefix)}
    if not part:
        raise LoadError(
            f"no tensor below {submodule!r}", at=found.source, hint=f"names look like {next(iter(found.tensors))}"
        )
    return NamedTensors(part, found.source, found.format, found.key)


def _weights_alone(ref: str, trust: bool, key: str | None = None) -> NamedTensors | Subject | None:
    """Weights, a module that was pickled whole, or None for the formats that are read elsewhere."""
    file = peek(Path(ref), key)
    if model_checkpoint.matches(file):
        found = find_model(model_checkpoint.read_content(file, trust), file.at, key)
        if isinstance(found, nn.Module):
            found.eval()
            subject = Subject(found, "pickle", ref, type(found).__name__, key=key)
            check_finite(subject)
            return subject
        return _checked(found, ref, "checkpoint", key)
    if model_safetensors.matches(file) and key is None:
        return _checked(model_safetensors.read_tensors(file), ref, "safetensors")
    return None


def _checked(state: Mapping[str, Tensor], ref: str, format_: ModelFormat, key: str | None = None) -> NamedTensors:
    tensors = {name: value.detach() for name, value in state.items() if isinstance(value, Tensor)}
    check_float(tensors, ref)
    check_finite_tensors(tensors.items(), ref)
    return NamedTensors(
        {name: value.to(torch.float32) if value.is_floating_point() else value for name, value in tensors.items()},
        ref,
        format_,
        key,
    )
