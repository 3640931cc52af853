"""Separable convolutions in the friendly form of arXiv 1803.08607, from which a training goes on.

Without the clamp between its convolutions a network computes something else: what comes out here is to be trained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch

from qdiag.batches import Datasets
from qdiag.capture.ops import clamp_bounds
from qdiag.capture.program import Program
from qdiag.capture.rewrites.separable import RELU6, SeparableBlock, find_separable, friendly
from qdiag.core.causes.refit import KeptSeparable, RefitVariant, SeparableRefit
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.pipeline.begin import begin
from qdiag.pipeline.float_change import float_change
from qdiag.pipeline.float_probe import FloatProbe
from qdiag.pipeline.fusion.subject import changed_as_program
from qdiag.pipeline.preparation.inputs import first_batch
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.simulate.session import Session
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.subject import Subject
from qdiag.train.losses import choose_loss


@dataclass(frozen=True)
class Refit:
    """A rewritten network, to be trained by `train_model`, and what was rewritten."""

    subject: Subject
    record: SeparableRefit


def refit_subject(
    session: Session,
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    variant: RefitVariant,
    blocks: Sequence[str] = (),
    request: TaskRequest | None = None,
    *,
    distill: bool = False,
    loss: Callable[..., Any] | None = None,
) -> Refit:
    """Rewrites separable convolutions, and measures the float network before and after; the subject stays as it was.

    Args:
        variant: `b` folds the BatchNorm behind each depthwise convolution, and removes the clamp there; `c` also makes
            every other ReLU6 of the network a ReLU.
        blocks: glob patterns of module paths of depthwise convolutions; all when empty.
        distill, loss: of the training that follows, see `choose_loss`.

    Raises:
        ConfigError: no separable convolution can be rewritten, a pattern matches none, the subject is a part of a
            network, or the training would follow the outputs of the rewritten network itself.
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    if subject.submodule is not None:
        raise ConfigError("a part of a network is not rewritten", at="`submodule`", hint="give the whole network")
    experiment = begin(session, subject, datasets, scheme, request)
    case = experiment.case
    if choose_loss(case.tasks, distill=distill, function=loss).needs_float:
        raise ConfigError(
            "the rewritten network would be trained towards its own float outputs, which are not those of the network "
            "as it was read",
            at="`refit_separable`",
            hint="give labels or a loss of your own, and leave `distill` away",
        )
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
    return Refit(made, record)


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
