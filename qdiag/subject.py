"""The model under examination."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.export import ExportedProgram

ModelFormat = Literal[
    "module", "exported_program", "torchscript", "pickle", "checkpoint", "safetensors", "onnx", "litert"
]


@dataclass(frozen=True)
class Subject:
    """A float model as it was read; nobody writes to it.

    Attributes:
        model: an `nn.Module` (a `torch.jit.ScriptModule` is one) or a `torch.export` program; modules in eval mode.
        format: what the file turned out to be; `module` for an object handed in from Python.
        source: path as given, or the class name.
        architecture: class name, or the `--arch` reference that built it.
        parent: the whole network when `model` is a submodule of it: data is fed to the parent, and what reaches
            the submodule is captured.
        submodule: path of `model` inside `parent`.
        key: where the weights are in a checkpoint; None: where they were found.
        is_untrusted: what it computes came from a file, and nobody said that it may run.
    """

    model: nn.Module | ExportedProgram
    format: ModelFormat
    source: str
    architecture: str
    parent: nn.Module | None = None
    submodule: str | None = None
    key: str | None = None
    is_untrusted: bool = False


@contextmanager
def evaluating(model: nn.Module | ExportedProgram) -> Iterator[None]:
    """The model in eval mode for a while; every module gets its own flag back."""
    if isinstance(model, ExportedProgram):
        yield
        return
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, flag in flags:
            module.training = flag
