"""A subject with other values in some of its tensors."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from torch import Tensor, nn
from torch.export import ExportedProgram

from qdiag.loaders.models.quiet import quiet_torch
from qdiag.savers.named_tensors import fill, tensors_of
from qdiag.subject import Subject

_Model = TypeVar("_Model", nn.Module, ExportedProgram, nn.Module | ExportedProgram)


def subject_tensors(subject: Subject) -> dict[str, Tensor]:
    """Parameters and buffers of the subject's model by all their names; not to be written to."""
    model = subject.model
    if isinstance(model, nn.Module):
        return tensors_of(model)
    constants = {name: value for name, value in model.constants.items() if isinstance(value, Tensor)}
    return {**constants, **{name: value for name, value in model.state_dict.items() if isinstance(value, Tensor)}}


def with_changes(subject: Subject, changes: Mapping[str, Tensor]) -> Subject:
    """A copy of the subject with new values for the named tensors of its model; the subject is left as it is.

    Raises:
        KeyError: the model has no tensor of that name.
    """
    if subject.parent is not None and subject.submodule is not None:
        parent = _copy(subject.parent)
        changed = replace(subject, parent=parent, model=parent.get_submodule(subject.submodule))
    else:
        changed = replace(subject, model=_copy(subject.model))
    fill(subject_tensors(changed), changes)
    return changed


def _copy(model: _Model) -> _Model:
    with quiet_torch():  # programs warn about their own pytree classes
        return copy.deepcopy(model)
