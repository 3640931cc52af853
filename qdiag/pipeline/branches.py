"""`qdiag branches`: parallel linear branches, the one convolution of each block, and what both are worth quantized."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from qdiag.batches import Datasets, run_through
from qdiag.capture.branches.block import LinearBlock
from qdiag.capture.branches.find import find_blocks
from qdiag.capture.branches.fuse import FusedProgram, fuse_blocks
from qdiag.capture.program import Program, Runner
from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.measures.branches import BranchBlock, BranchesReport, BranchRepair
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.measurement import Measurement
from qdiag.core.scheme import QuantScheme
from qdiag.errors import QdiagError, RepairRefused
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.float_probe import Outputs, deltas, largest_values, relative, tensor_outputs
from qdiag.pipeline.preparation.inputs import naming
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.branches.records import block_record, endings
from qdiag.simulate.branches.values import watch_blocks
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_program
from qdiag.simulate.session import PAIRED, Session
from qdiag.simulate.surroundings import versions
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.simulate.task.scoring import recovery
from qdiag.subject import Subject

UNTRAINED = tuple(traits.name for traits in TRAITS.values() if traits.mends_branches)
"""Repairs that need no training, in the order in which they are tried."""


@dataclass(frozen=True)
class Fused:
    """An experiment with its blocks, and the same with those of them fused that can be.

    Attributes:
        case: the fused one; None where no block can be fused.
    """

    blocks: tuple[LinearBlock, ...]
    program: FusedProgram
    case: Case | None


def fuse_experiment(session: Session, experiment: Experiment) -> Fused:
    """The blocks of a captured network, and its case with the blocks fused."""
    case = experiment.case
    with session.stage("find branches"), torch.no_grad():
        blocks = find_blocks(case.program)
        fused = fuse_blocks(case.program, blocks)
    if not fused.nodes:
        return Fused(blocks, fused, None)
    return Fused(blocks, fused, with_program(session, case, fused.program, case.scheme))


def fused_records(session: Session, case: Case, fused: Fused) -> tuple[BranchBlock, ...]:
    """The blocks of a case beside their one convolution, as they were seen on the calibration data; no errors yet."""
    seen = endings(fused.case, fused.program) if fused.case is not None else {}
    values = watch_blocks(case.program, case.network, fused.blocks, seen, case.calibration, session.progress)
    return tuple(block_record(block, case, fused.case, fused.program, values[block.name]) for block in fused.blocks)


def watched_blocks(session: Session, case: Case) -> tuple[BranchBlock, ...]:
    """The blocks as they were seen on the calibration data, nothing fused or quantized; empty without any."""
    with torch.no_grad():
        blocks = find_blocks(case.program)
        if not blocks:
            return ()
        fused = fuse_blocks(case.program, blocks)
    values = watch_blocks(case.program, case.network, blocks, {}, case.calibration, session.progress)
    return tuple(block_record(block, case, None, fused, values[block.name]) for block in blocks)


def measure_branches(
    session: Session,
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    request: TaskRequest | None = None,
) -> BranchesReport:
    """The blocks with their figures, and the quantized network as it was read, fused, and repaired without training.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    experiment = begin(session, subject, datasets, scheme, request)
    case = experiment.case
    fused = fuse_experiment(session, experiment)
    after_case = fused.case
    of_fused = {} if after_case is None else {"measure after": PAIRED, "float outputs": 2.0, "repairs": 30.0}
    session.expect_passes(case, {"branches": 2.0, "measure before": PAIRED, **of_fused})
    with session.watch.stage("branches"):
        records = fused_records(session, case, fused)
    with session.watch.stage("measure before"):
        before = measure_experiment(session.timed_anew(), experiment)
    report = BranchesReport(experiment.model, records, before, versions=versions())
    if after_case is None:
        return replace(report, stages=session.watch.stages)
    with session.watch.stage("measure after"):
        after = measure_experiment(session.timed_anew(), replace(experiment, case=after_case))
    with session.watch.stage("float outputs"), naming(datasets.evaluation):
        delta, over_largest = _float_delta(session, case, fused.program.program)
    blocks = tuple(_with_errors(block, before, after) for block in records)
    with session.watch.stage("repairs"):
        repairs = _tried(session, after_case, blocks)
    return replace(
        report,
        blocks=blocks,
        after=after,
        float_max_abs_delta=delta,
        float_relative_delta=over_largest,
        repairs=repairs,
        stages=session.watch.stages,
    )


def _with_errors(block: BranchBlock, before: Measurement, after: Measurement) -> BranchBlock:
    errors: Mapping[str, ErrorSums] = {record.name: record.propagated for record in before.records}
    fused = {record.name: record for record in after.records}.get(block.fused_layer or "")
    if fused is None:
        return replace(block, before=errors.get(block.layer))
    return replace(block, before=errors.get(block.layer), after=fused.propagated, alone=fused.local)


def _float_delta(session: Session, case: Case, fused: Program) -> tuple[float, float]:
    """Largest |difference| of a float output on the measured data, and the same over its largest |value|."""
    network = case.network
    programs = [
        Runner(replace(program, constants={name: x.to(network.device) for name, x in program.constants.items()}))
        for program in (case.program, fused)
    ]
    delta: list[float] = []
    scale: list[float] = []
    with torch.no_grad():
        for batch in run_through(case.measured, session.progress, "float outputs"):
            placed = network.placed(batch)
            before, after = (tensor_outputs(program(placed.args, placed.kwargs)) for program in programs)
            moved, largest = deltas(Outputs(batch, before, after)), largest_values(before)
            delta = [max(pair) for pair in zip(delta or moved, moved, strict=True)]
            scale = [max(pair) for pair in zip(scale or largest, largest, strict=True)]
    return max(delta, default=0.0), relative(delta, scale)


def _tried(session: Session, case: Case, blocks: Sequence[BranchBlock]) -> tuple[BranchRepair, ...]:
    """Each repair at the blocks that break a condition or lose by fusion; none where all are well."""
    broken = [block for block in blocks if block.is_broken]
    sites = [FindingSite(block.fused_layer) for block in broken if block.fused_layer is not None]
    if not sites:
        return ()
    context = RepairContext(session=session)
    made: dict[str, Treatment] = {}
    refused: dict[str, str] = {}
    for name in UNTRAINED:
        try:
            made[name] = REPAIRS[name].apply(case, sites, context)
        except RepairRefused as refusal:
            refused[name] = refusal.message
        except QdiagError as error:
            refused[name] = f"it failed: {error}"
    scored, _ = session.score([case, *(treatment.case for treatment in made.values())], "repairs")
    scores = dict(zip(made, scored[1:], strict=True))
    return tuple(
        BranchRepair(name, made[name].layers, scores[name].score, recovery(before=scored[0], after=scores[name]))
        if name in made
        else BranchRepair(name, refused=refused[name])
        for name in UNTRAINED
    )
