"""The tensors of the model while they are trained, under the names that they have in the model."""

from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from qdiag.capture.program import Program
from qdiag.subject import Subject


def parameter_names(subject: Subject) -> frozenset[str]:
    """Names of the parameters of the subject's model, without its buffers, and without what it froze.

    Where it froze everything it was made for inference, and all parameters count.
    """
    found = dict(_named_parameters(subject.model))
    moving = frozenset(name for name, parameter in found.items() if parameter.requires_grad)
    return moving or frozenset(found)


def _named_parameters(model: nn.Module | ExportedProgram) -> Iterator[tuple[str, Tensor]]:
    if isinstance(model, ExportedProgram):
        return ((name, model.state_dict[name]) for name in model.graph_signature.parameters)
    return model.named_parameters(remove_duplicate=False)


class Parameters:
    """Copies of all tensors of a captured program; the program keeps its own.

    Tensors that share their memory in the model are one tensor here, under all their names.

    Args:
        trained: names of those that ask for a gradient.
    """

    def __init__(self, program: Program, trained: Collection[str], device: torch.device) -> None:
        self._names = program.parameter_names
        self._trained = frozenset(trained)
        self.by_placeholder: dict[str, Tensor] = {}
        copies: dict[tuple[object, ...], Tensor] = {}
        for placeholder, value in program.constants.items():
            memory = (value.data_ptr() or placeholder, value.shape, value.stride(), value.dtype)
            if memory not in copies:
                copies[memory] = value.detach().clone().to(device)
            copy = copies[memory]
            if self._names.get(placeholder) in self._trained and copy.is_floating_point():
                copy.requires_grad_()
            self.by_placeholder[placeholder] = copy
        self._before = {name: value.detach().clone() for name, value in self.named().items()}

    def named(self) -> dict[str, Tensor]:
        """All of them by their names in the model; to be written to under `torch.no_grad`."""
        return {self._names[key]: value for key, value in self.by_placeholder.items() if key in self._names}

    def trained(self) -> list[Tensor]:
        """Those that ask for a gradient, each once."""
        return list({id(value): value for value in self.by_placeholder.values() if value.requires_grad}.values())

    def changes(self) -> dict[str, Tensor]:
        """Copies, on the CPU, of those that hold other values than the model, by name."""
        return {
            name: value.detach().clone().cpu()
            for name, value in self.named().items()
            if not torch.equal(value.detach(), self._before[name])
        }

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Puts values in their places; names that are missing keep theirs."""
        named = self.named()
        with torch.no_grad():
            for name, value in values.items():
                named[name].copy_(value)
