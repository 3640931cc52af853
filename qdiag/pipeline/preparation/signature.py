"""What a network's forward takes."""

import inspect

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from qdiag.batches import Batch


def takes_one_mapping(model: nn.Module | ExportedProgram, example: Batch) -> bool:
    """Forward takes one positional argument under another name than any of the batch's named inputs: a dictionary.

    Args:
        example: a batch with named inputs only.
    """
    if isinstance(model, ExportedProgram):
        return bool(pytree.tree_flatten((({**example.kwargs},), {}))[1] == model.call_spec.in_spec)
    names, required, takes_any = _arguments(model)
    return not takes_any and len(required) == 1 and not set(example.kwargs) & set(names)


def one_input_shape(program: ExportedProgram) -> tuple[int | None, ...]:
    """The shape of the one tensor that a program takes, None for an axis of any length; empty where it takes others."""
    names = program.graph_signature.user_inputs
    values = [node.meta.get("val") for node in program.graph.nodes if node.name in names]
    if len(values) != 1 or not isinstance(values[0], torch.Tensor):
        return ()
    return tuple(size if isinstance(size, int) else None for size in values[0].shape)


def _arguments(model: nn.Module) -> tuple[list[str], list[str], bool]:
    """Names of the arguments, those without a default, and whether any other name is taken too."""
    if isinstance(model, torch.jit.ScriptModule):
        arguments = model._c._get_method("forward").schema.arguments[1:]
        return [a.name for a in arguments], [a.name for a in arguments if not a.has_default_value()], False
    parameters = list(inspect.signature(model.forward).parameters.values())
    plain = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    required = [p.name for p in plain if p.default is p.empty]
    return [p.name for p in plain], required, any(p.kind is p.VAR_KEYWORD for p in parameters)
