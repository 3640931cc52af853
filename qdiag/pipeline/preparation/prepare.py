"""From a model and one batch to a network that can be run, checked against the original at every step."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import torch

from qdiag.batches import Batch, Batches, sample_axis
from qdiag.capture.capture import capture, largest_delta
from qdiag.capture.fake_quantizers.operations import without_operations
from qdiag.capture.fake_quantizers.silence import without_observers
from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.layers import group_layers
from qdiag.capture.program import Program, Runner
from qdiag.capture.rewrites.computed import fold_computed
from qdiag.capture.state import own_randomness
from qdiag.core.measures.measurement import CaptureInfo
from qdiag.onnx.network import OnnxNetwork
from qdiag.pipeline.preparation.check import check_program
from qdiag.pipeline.preparation.fixed_batches import chosen, on_cpu, static_batch
from qdiag.pipeline.preparation.inputs import first_batch
from qdiag.pipeline.preparation.original import Original
from qdiag.pipeline.preparation.trial import try_apart
from qdiag.simulate.passes.network import Network, network_on
from qdiag.subject import Subject, evaluating


def prepare(
    subject: Subject, sources: Sequence[Batches], *, fold: bool, device: torch.device
) -> tuple[Program, Network, CaptureInfo]:
    """Captures, checks, folds, checks again, and groups into layers. The subject is left as it is.

    Args:
        sources: the data of the run; the first batch of the first one is what the network is captured with.

    Returns:
        The program as captured, BatchNorm not folded; the network ready to run; how they came about.

    Raises:
        DataError: the original network does not accept the inputs.
        CaptureError: no graph, or one that computes something else than the original.
    """
    example = _at_least_two(on_cpu(first_batch(sources[0])), subject)
    with evaluating(subject.model), without_observers(subject.model), own_randomness(), torch.no_grad():
        try_apart(subject, example)
        original = Original(subject.model)
        original(example)
        program = capture(subject, example)
        checked = check_program(program, original, example, sources)
    info = CaptureInfo(
        program.route,
        program.skipped,
        batch_size=checked.program.batch_size,
        checked_sample_count=checked.sample_count,
        checked_batch_sizes=checked.batch_sizes,
        depends_on_batch=checked.depends_on_batch,
        trained_modules=original.trained,
        doubts=program.doubts,
        left_out=subject.model.left_out if isinstance(subject.model, OnnxNetwork) else (),
    )
    captured = without_operations(checked.program)
    program = fold_computed(captured)
    if fold:
        with torch.no_grad():
            program, info = _folded(program, info, example)
    return captured, network_on(program, group_layers(program), device), info


def _folded(program: Program, info: CaptureInfo, example: Batch) -> tuple[Program, CaptureInfo]:
    result = fold_batchnorms(program)
    if result.folded:
        unfolded = Runner(program)(example.args, example.kwargs)
        delta, relative = largest_delta(unfolded, Runner(result.program)(example.args, example.kwargs))
        info = replace(info, fold_max_abs_delta=delta, fold_relative_delta=relative)
    names = tuple(f.norm for f in result.folded)
    return result.program, replace(info, folded_batchnorms=names, kept_batchnorms=result.kept)


def _at_least_two(example: Batch, subject: Subject) -> Batch:
    """A batch axis of one would be taken for a constant; a saved program with a fixed batch gets just that.

    Where an input counts samples on another axis than its first, the size is one that none of its other axes has.
    """
    count = example.sample_count
    moved = [x for x in example.tensors if sample_axis(x, count) not in (0, None)]
    taken = {size for x in moved for size in x.shape}
    wanted = static_batch(subject.model) or next(size for size in itertools.count(2) if size not in taken - {count})
    return example if wanted == count else chosen(example, [i % count for i in range(wanted)])
