"""The fused network as a model of its own: a program, or the deployed form of its architecture."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from qdiag.batches import Batch
from qdiag.capture.program import Program
from qdiag.capture.rewrites.as_module import module_of
from qdiag.capture.routes import export_program
from qdiag.errors import ConfigError, QdiagError
from qdiag.loaders.missing import is_architecture_ref
from qdiag.loaders.models.architecture import build_architecture
from qdiag.loaders.models.state_dict import load_weights
from qdiag.pipeline.preparation.fixed_batches import chosen
from qdiag.repairs.overlay import subject_tensors
from qdiag.subject import Subject

_FUSED = "branches fused"
_DEPLOYED = ("", "deploy=true", "inference_mode=true", "form=deployed")
"""Arguments by which code builds the deployed form; networks of the zoo go by the names of the tensors."""


def changed_as_program(subject: Subject, changed: Program, example: Batch, change: str = _FUSED) -> Subject:
    """A network of another graph as a `torch.export` program, its parameters under their names.

    Args:
        change: what was done to the subject, in words.

    Raises:
        CaptureError: it takes nested arguments.
    """
    if example.sample_count == 1 and changed.batch_size is None:
        example = chosen(example, [0, 0])  # a batch axis of one would be taken for a constant
    exported: ExportedProgram = export_program(module_of(changed), example).program
    return Subject(exported, "exported_program", f"{subject.source}, {change}", subject.architecture)


def fused_as_network(subject: Subject, captured: Program, fused: Program) -> Subject:
    """The fused network as the deployed form of the architecture that the subject was built by.

    Raises:
        ConfigError: no deployed form of it takes the fused weights.
    """
    state = fused_state(subject, captured, fused)
    for reference in _references(subject.architecture):
        network = _built(reference, state)
        if network is not None:
            return Subject(network, "module", f"{subject.source}, {_FUSED}", reference)
    raise ConfigError(
        "it has no deployed form that takes the fused weights",
        at=subject.architecture,
        hint="end the name of the file in .pt2: that holds the network as well",
    )


def fused_state(subject: Subject, captured: Program, fused: Program) -> dict[str, Tensor]:
    """The state dict of the fused network: tensors of modules that are part of a block are left out."""
    names = captured.parameter_names
    gone = {names[key].rpartition(".")[0] for key in captured.constants if key in names and key not in fused.constants}
    left = {fused.parameter_names[key]: value for key, value in fused.constants.items() if key in fused.parameter_names}
    stored = subject_tensors(subject)
    if isinstance(subject.model, nn.Module):
        stored = {name: value for name, value in subject.model.state_dict().items() if isinstance(value, Tensor)}
    kept = {name: value for name, value in stored.items() if name.rpartition(".")[0] not in gone or name in left}
    return {**kept, **left}


def _references(architecture: str) -> Iterator[str]:
    if is_architecture_ref(architecture):
        joint = "&" if "?" in architecture else "?"
        for argument in _DEPLOYED:
            yield f"{architecture}{joint}{argument}" if argument else architecture
        yield architecture.replace("form=training", "form=deployed")


def _built(reference: str, state: dict[str, Tensor]) -> nn.Module | None:
    """The network with the weights; None where the reference builds one that does not take them."""
    try:
        network = build_architecture(reference, state)
        with torch.no_grad():
            load_weights(network, state, at=reference, arch=reference)
    except QdiagError:
        return None
    return network.eval()
