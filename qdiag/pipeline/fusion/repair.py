"""`qdiag repair` where its first repair fuses branches: the others are made in the network that this gives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import torch

from qdiag.batches import Datasets
from qdiag.capture.branches.block import LinearBlock
from qdiag.capture.branches.find import find_blocks
from qdiag.capture.branches.fuse import FusedProgram, fuse_blocks
from qdiag.core.causes.repair import ModelRepair, RepairStep, check_written
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.float_change import float_change, too_much_words
from qdiag.pipeline.float_probe import FloatProbe
from qdiag.pipeline.fusion.subject import changed_as_program, fused_as_network
from qdiag.pipeline.repair import Changes, RepairOptions, repair_model
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.repairs.weights.fuse_branches import NO_BLOCK
from qdiag.simulate.session import PAIRED, Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.subject import Subject


@dataclass(frozen=True)
class FusedRepair:
    """A repair, and what is to be written.

    Attributes:
        subject: the fused network; None where nothing was fused, and `changes` are those of the one given.
    """

    result: ModelRepair
    subject: Subject | None
    changes: Changes


def fuse_and_repair(
    session: Session,
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    options: RepairOptions,
    request: TaskRequest | None = None,
    *,
    as_program: bool = True,
) -> FusedRepair:
    """The first repair fuses the branches; the others follow as in `repair_model`. The subject is left as it was.

    Args:
        as_program: the fused network is to be a program; otherwise weights for a deployed form of its architecture.

    Raises:
        ConfigError: a part of a network, a repair that no checkpoint can hold, or no deployed form.
        CaptureError: no program can be made of the fused network.
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    check_written(options.repairs)
    if subject.submodule is not None:
        raise ConfigError("a part of a network is not fused", at="`submodule`", hint="give the whole network")
    experiment = begin(session, subject, datasets, scheme, request)
    session.expect_passes(experiment.case, {"repair": 4.0, "measure before": PAIRED, "measure after": PAIRED + 1.0})
    program = experiment.case.program
    with session.watch.stage("repair"), torch.no_grad():
        blocks = find_blocks(program)
        fused = fuse_blocks(program, _chosen(blocks, options.layers))
    step = RepairStep(options.repairs[0], layers=tuple(fused.modules.values()), tensors=_tensors(fused))
    if not fused.nodes:
        reasons = dict.fromkeys(block.refused for block in blocks if block.refused is not None)
        return _unfused(session, experiment, options, replace(step, refused=", ".join(reasons) or NO_BLOCK), request)
    with session.watch.stage("repair"):
        if as_program:
            made = changed_as_program(subject, fused.program, next(iter(experiment.case.calibration)))
        else:
            made = fused_as_network(subject, program, fused.program)
        probe = FloatProbe(subject, fused.program, experiment.case.tasks, session.device, after=made)
        change = float_change(session, probe, experiment.case.measured, {})
    step = replace(step, relative_delta=change.relative_delta)
    if change.relative_delta > options.float_bound:
        refused = f"{too_much_words(change.relative_delta, options.float_bound)} (`float_bound`)"
        return _unfused(session, experiment, options, replace(step, layers=(), tensors=(), refused=refused), request)
    others = replace(options, repairs=tuple(options.repairs[1:]))
    inner: ModelRepair | None = None
    changes: Changes = {}
    if others.repairs:
        inner, changes = repair_model(session, made, datasets, scheme, others, request)
        if changes:
            change = float_change(session, probe, experiment.case.measured, changes)
    with session.watch.stage("measure before"):
        before = measure_experiment(session.timed_anew(), experiment)
    after = inner.after if inner is not None and inner.after is not None else None
    if after is None:
        with session.watch.stage("measure after"):
            after = measure_experiment(session.timed_anew(), begin(session, made, datasets, scheme, request))
    result = ModelRepair(
        model=experiment.model,
        layers=tuple(options.layers),
        float_bound=options.float_bound,
        steps=(step, *(inner.steps if inner is not None else ())),
        float_change=change,
        before=before,
        after=after,
        size=before.size,
        notes=_notes(blocks, subject, made),
        stages=session.watch.stages,
        versions=versions(),
    )
    return FusedRepair(result, made, changes)


def _unfused(
    session: Session, experiment: Experiment, options: RepairOptions, step: RepairStep, request: TaskRequest | None
) -> FusedRepair:
    """The other repairs alone."""
    others = replace(options, repairs=tuple(options.repairs[1:]))
    if others.repairs:
        scheme = experiment.case.scheme
        result, changes = repair_model(session, experiment.subject, experiment.datasets, scheme, others, request)
        return FusedRepair(replace(result, steps=(step, *result.steps)), None, changes)
    layers = tuple(options.layers)
    stages = session.watch.stages
    size = network_size(experiment.case)
    result = ModelRepair(
        experiment.model, layers, options.float_bound, (step,), size=size, stages=stages, versions=versions()
    )
    return FusedRepair(result, None, {})


def _chosen(blocks: Sequence[LinearBlock], patterns: Sequence[str]) -> list[LinearBlock]:
    """The blocks that the patterns name, by their modules."""
    chosen = [block for block in blocks if not patterns or any(fnmatchcase(block.name, p) for p in patterns)]
    if patterns and blocks and not chosen:
        names = ", ".join(block.name for block in blocks[:6])
        raise ConfigError(
            f"no block of branches is called {' or '.join(patterns)}", at="`layers`", hint=f"they are called {names}"
        )
    return chosen


def _tensors(fused: FusedProgram) -> tuple[str, ...]:
    return tuple(f"{module}.{part}" for module in fused.modules.values() for part in ("weight", "bias"))


def _notes(blocks: Sequence[LinearBlock], subject: Subject, made: Subject) -> tuple[str, ...]:
    notes = [f"{block.name} stays as it is: {block.refused}" for block in blocks if block.refused is not None]
    if made.architecture != subject.architecture:
        notes.append(f"the file is read with `arch={made.architecture}`")
    return tuple(notes)
