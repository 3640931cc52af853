"""From a model and one batch to a network that can be run, checked against the original at every step."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, not_accepted
from qdiag.capture.capture import capture, largest_delta
from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.layers import group_layers
from qdiag.capture.program import Program, Runner
from qdiag.core.measures.measurement import CaptureInfo
from qdiag.errors import CaptureError, QdiagError
from qdiag.simulate.passes.network import Network, network_on
from qdiag.subject import Subject, evaluating

_CAPTURE_TOLERANCE = 1e-3
"""Largest relative difference between the captured and the original network: rounding, with room for reordering."""


@dataclass(frozen=True)
class Prepared:
    """A network ready to run, and how it came about; `program` is as captured, BatchNorm not folded."""

    network: Network
    info: CaptureInfo
    program: Program


def prepare(subject: Subject, example: Batch, *, fold: bool, device: torch.device) -> Prepared:
    """Captures, checks, folds, checks again, and groups into layers. The subject is left as it is.

    Args:
        example: any batch of the data.

    Raises:
        DataError: the original network does not accept the inputs.
        CaptureError: no graph, or one that computes something else than the original.
    """
    example = _at_least_two(_on_cpu(example), subject)
    with evaluating(subject.model), torch.no_grad():
        expected = _run_original(subject.model, example)
        program = capture(subject, example)
        delta, relative = largest_delta(expected, Runner(program)(example.args, example.kwargs))
        if not relative <= _CAPTURE_TOLERANCE:
            raise CaptureError(
                f"the captured graph computes something else: outputs differ by {delta:.3g} ({relative:.1e} relative)",
                hint="is forward random or stateful? make it deterministic in eval mode, or use --submodule",
            )
        info, captured = CaptureInfo(program.route, program.skipped), program
        if fold:
            program, info = _folded(program, info, example)
    return Prepared(network_on(program, group_layers(program), device), info, captured)


def _folded(program: Program, info: CaptureInfo, example: Batch) -> tuple[Program, CaptureInfo]:
    result = fold_batchnorms(program)
    if result.folded:
        unfolded = Runner(program)(example.args, example.kwargs)
        delta, relative = largest_delta(unfolded, Runner(result.program)(example.args, example.kwargs))
        info = replace(info, fold_max_abs_delta=delta, fold_relative_delta=relative)
    names = tuple(f.norm for f in result.folded)
    return result.program, replace(info, folded_batchnorms=names, kept_batchnorms=result.kept)


def _run_original(model: nn.Module | ExportedProgram, example: Batch) -> tuple[Any, ...]:
    """Flat tensor outputs of the model as the user has it.

    A program saved in training mode updates its running statistics on every call; they get their values back.
    """
    module = model.module() if isinstance(model, ExportedProgram) else model
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()} if module is not model else {}
    try:
        outputs = module(*example.args, **example.kwargs)
        for name, buffer in module.named_buffers():
            if name in kept:
                buffer.copy_(kept[name])
    except QdiagError:
        raise
    except Exception as error:
        raise not_accepted(example, error) from error
    return tuple(leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor))


def _at_least_two(example: Batch, subject: Subject) -> Batch:
    """A batch axis of one would be taken for a constant; a saved program with a fixed batch gets just that."""
    wanted = static_batch(subject.model) or max(2, min(example.sample_count, 2))
    count = example.sample_count

    def resized(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.ndim or leaf.shape[0] != count:
            return leaf
        return leaf.repeat(-(-wanted // count), *[1] * (leaf.ndim - 1))[:wanted]

    return Batch(pytree.tree_map(resized, example.args), pytree.tree_map(resized, dict(example.kwargs)))


def static_batch(model: nn.Module | ExportedProgram) -> int | None:
    """The one batch size that a saved program accepts; None when it accepts any."""
    if not isinstance(model, ExportedProgram):
        return None
    for node in model.graph.nodes:
        value = node.meta.get("val") if node.op == "placeholder" else None
        if node.name in model.graph_signature.user_inputs and isinstance(value, Tensor) and value.ndim:
            return value.shape[0] if isinstance(value.shape[0], int) else None
    return None


def _on_cpu(batch: Batch) -> Batch:
    def moved(leaf: Any) -> Any:
        return leaf.cpu() if isinstance(leaf, Tensor) else leaf

    return Batch(pytree.tree_map(moved, batch.args), pytree.tree_map(moved, dict(batch.kwargs)))
