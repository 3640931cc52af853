"""Separable convolutions in the friendly form of arXiv 1803.08607, from which a training goes on.

Without the clamp between its convolutions a network computes something else: what comes out here is to be trained. For
that the clamps stay in the graph, without bounds, so that the network as it was read is the same graph with bounds: it
is what a training without labels goes by, and what a figure against the float network compares with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import torch

from qdiag.batches import Datasets
from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.ops import clamp_bounds
from qdiag.capture.program import Program
from qdiag.capture.rewrites.separable import RELU6, SeparableBlock, find_separable, friendly
from qdiag.core.causes.refit import KeptSeparable, RefitVariant, SeparableRefit
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.facts import model_info
from qdiag.pipeline.float_change import float_change
from qdiag.pipeline.float_probe import FloatProbe
from qdiag.pipeline.fusion.subject import changed_as_program
from qdiag.pipeline.preparation.inputs import first_batch
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.simulate.case import Case, Clamp
from qdiag.simulate.changes import with_clamps, with_program
from qdiag.simulate.session import Session
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.subject import Subject

_NO_BOUNDS: Clamp = (-math.inf, math.inf)
_RELU: Clamp = (0.0, math.inf)


@dataclass(frozen=True)
class Refit:
    """A rewritten network, to be trained by `train_model`, and what was rewritten.

    Attributes:
        subject: the rewritten network, in which new weights are written.
        experiment: the same to be trained, see `refit_case`.
    """

    subject: Subject
    record: SeparableRefit
    experiment: Experiment


def refit_subject(
    session: Session,
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    variant: RefitVariant,
    blocks: Sequence[str] = (),
    request: TaskRequest | None = None,
) -> Refit:
    """Rewrites separable convolutions, and measures the float network before and after; the subject stays as it was.

    Args:
        variant: `b` folds the BatchNorm behind each depthwise convolution, and removes the clamp there; `c` also makes
            every other ReLU6 of the network a ReLU.
        blocks: glob patterns of module paths of depthwise convolutions; all when empty.

    Raises:
        ConfigError: no separable convolution can be rewritten, a pattern matches none, or the subject is a part of a
            network.
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    if subject.submodule is not None:
        raise ConfigError("a part of a network is not rewritten", at="`submodule`", hint="give the whole network")
    experiment = begin(session, subject, datasets, scheme, request)
    case = experiment.case
    with session.stage("rewrite"), torch.no_grad():
        found = find_separable(case.program)
        chosen = _chosen(found, blocks)
        rewritten = friendly(case.program, chosen, relu=variant == "c")
        made = changed_as_program(
            subject, rewritten, first_batch(case.calibration), f"separable convolutions in variant {variant}"
        )
    original = measure_experiment(session.timed_anew(), experiment)
    with session.watch.stage("float outputs of the rewritten network"):
        probe = FloatProbe(subject, rewritten, case.tasks, session.device, after=made)
        change = float_change(session, probe, case.measured, {})
    record = SeparableRefit(
        variant=variant,
        blocks=tuple(block.name for block in chosen),
        kept=tuple(KeptSeparable(block.name, block.refused) for block in found if block not in chosen),
        relu_count=_relu6_count(case.program) - _relu6_count(rewritten) - _removed(case.program, chosen),
        original=original,
        float_change=change,
    )
    with session.stage("calibrate the rewritten network"):
        rewritten_case = refit_case(session, case, chosen, relu=variant == "c")
    treated = replace(experiment, subject=made, case=rewritten_case, model=model_info(made))
    return Refit(made, record, treated)


def refit_case(session: Session, case: Case, blocks: Sequence[SeparableBlock], *, relu: bool = False) -> Case:
    """The case with these blocks rewritten; its origin is the float network as it was read, BatchNorms folded.

    Args:
        blocks: that can be rewritten, of `find_separable` for the program of the case.
        relu: every other ReLU6 becomes a ReLU.
    """
    norms = {block.norm for block in blocks if block.norm is not None}
    program = fold_batchnorms(case.program, only=norms).program
    folded = with_program(session, case, program, case.scheme)
    gone = {block.clamp for block in blocks}
    layers = folded.network.graph.layers
    bounds = {layer.name: _NO_BOUNDS for layer in layers if layer.clamp is not None and layer.output in gone}
    if relu:
        bounds |= {layer.name: _RELU for layer in layers if layer.clamp == RELU6 and layer.output not in gone}
    return with_clamps(session, folded, bounds) if bounds else folded


def _chosen(found: Sequence[SeparableBlock], patterns: Sequence[str]) -> list[SeparableBlock]:
    """The blocks that were asked for and can be rewritten.

    Raises:
        ConfigError: there are none.
    """
    where = "`refit_separable`"
    if not found:
        raise ConfigError(
            "the network has no depthwise convolution with a BatchNorm or a clamp before its pointwise convolution",
            at=where,
            hint="there is nothing to rewrite; train it as it is",
        )
    for pattern in patterns:
        if not any(fnmatchcase(block.name, pattern) for block in found):
            some = ", ".join(block.name for block in found[:4])
            raise ConfigError(
                f"no depthwise convolution is called {pattern}", at="`refit_blocks`", hint=f"they are called {some}"
            )
    wanted = [b for b in found if not patterns or any(fnmatchcase(b.name, pattern) for pattern in patterns)]
    chosen = [block for block in wanted if block.refused is None]
    if not chosen:
        reasons = "; ".join(f"{block.name}: {block.refused}" for block in wanted)
        raise ConfigError(f"no separable convolution can be rewritten ({reasons})", at=where)
    return chosen


def _relu6_count(program: Program) -> int:
    return sum(node.op == "call_function" and clamp_bounds(node) == RELU6 for node in program.graph.nodes)


def _removed(program: Program, chosen: Sequence[SeparableBlock]) -> int:
    """ReLU6 among the clamps of these blocks."""
    names = {block.clamp for block in chosen}
    return sum(node.name in names and clamp_bounds(node) == RELU6 for node in program.graph.nodes)
