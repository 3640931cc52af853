"""`qdiag diagnose`: layer by layer figures, findings, causes ranked by what their repair recovers, in one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qdiag.config import change_scheme
from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import BitsPoint, Diagnosis, RepairedNetwork
from qdiag.core.formats.low_bits import LOW_BITS
from qdiag.core.formats.other_widths import BITS, left_out_widths, schemes_at
from qdiag.core.measures.bn import BatchNormAudit
from qdiag.core.measures.branches import BranchBlock, block_layers
from qdiag.core.measures.deployed.verification import Verification
from qdiag.core.scheme import QuantScheme
from qdiag.detectors import detect
from qdiag.detectors.base import DetectionContext
from qdiag.errors import QdiagError
from qdiag.pipeline.begin import Experiment, measurement_of
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.branches import watched_blocks
from qdiag.pipeline.fusion.suspects import with_fused_suspects
from qdiag.pipeline.notes import branch_notes, fused_notes, sample_notes
from qdiag.pipeline.preparation.inputs import naming
from qdiag.pipeline.sensitivity import SensitivityOptions, sensitivity_of
from qdiag.pipeline.training.ranked import RankedTraining, ranked_trainings
from qdiag.rank.rank import rank_network
from qdiag.repairs.base import RepairContext
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import SHOWN_SAMPLES, Case, on_some
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.layerwise.samples import Depth, sparse_layers
from qdiag.simulate.session import Session
from qdiag.simulate.surroundings import versions
from qdiag.subject import Subject

_WIDTHS_AT_ONCE = 2
"""Widths that are measured beside one float pass, before it is asked whether the answer is plain."""


@dataclass(frozen=True)
class DiagnoseOptions:
    """What to include beside findings and causes.

    Attributes:
        is_exhaustive: everything is measured on all samples, every layer alone, and every width.
        exact_layers: every layer alone. full_losses: the five losses on all samples.
        with_sensitivity: each layer quantized alone. with_bits: other widths. part: see `Sensitivity`.
        raises: an unexpected error inside a repair ends the run; otherwise that repair is refused, and this is why.
        words: the options of the command line, for commands that a report proposes.
        training: what may be trained where repairs without training leave something; None trains nothing.
        rank_without_harm_s: what the ranking is expected to take where there is nothing to repair.
    """

    with_sensitivity: bool = True
    with_bits: bool = True
    raises: bool = False
    words: tuple[str, ...] = ()
    training: RankedTraining | None = None
    rank_without_harm_s: float | None = None
    is_exhaustive: bool = False
    exact_layers: bool = False
    full_losses: bool = False


def diagnose_experiment(
    session: Session,
    experiment: Experiment,
    options: DiagnoseOptions | None = None,
    verification: Verification | None = None,
) -> Diagnosis:
    """Everything about one network under one scheme. The subject is left as it was.

    Args:
        verification: the quantized file whose plan this is, run in its runtime.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    options, case = options or DiagnoseOptions(), experiment.case
    open_ledger(session, case, options)
    with session.passes_stage("simulate"), naming(experiment.datasets.evaluation):
        seen = session.measure(case, "full facts" if options.is_exhaustive or options.full_losses else "facts")
    with session.stage("audit"):
        batchnorms, notes = _audit(experiment.subject, case)
        blocks, block_notes = _branches(session, case)
    measurement = measurement_of(session, experiment, seen)
    sensitivity = None
    if options.with_sensitivity:
        with session.passes_stage("sensitivity"):
            wanted = SensitivityOptions(with_all_but=False, is_exhaustive=options.is_exhaustive or options.exact_layers)
            sensitivity = sensitivity_of(session, experiment, wanted)
    quantized = sensitivity.quantized if sensitivity is not None else None
    is_healthy = quantized is not None and harm_of(quantized).verdict == "healthy"
    if is_healthy and options.rank_without_harm_s is not None:
        session.expect({"rank": options.rank_without_harm_s})
    with session.passes_stage("rank"):
        fallen_back = verification.fallen_back if verification is not None else ()
        findings = detect(DetectionContext(measurement, seen.facts, batchnorms, sensitivity, blocks, fallen_back))
        brief = replace(session, is_brief=True)
        context = RepairContext(batchnorms, {facts.layer: facts for facts in seen.facts}, brief)
        how = {"raises": options.raises, "is_exhaustive": options.is_exhaustive}
        ranking, repaired = rank_network(case, findings, REPAIRS, context, **how)
        layers = _repaired_network(brief, case, repaired, ranking, seen.layer_sample_count)
        ranking = with_fused_suspects(session, case, measurement, ranking, blocks, raises=options.raises)
    trainings = ranked_trainings(session, experiment, ranking, repaired, options.training)
    bits = tuple[BitsPoint, ...]()
    if options.with_bits:
        with session.passes_stage("bits"):
            bits = bits_sweep(session, case, known=ranking.before, is_exhaustive=options.is_exhaustive)
        notes = (*notes, *left_out_widths(case.scheme))
    return Diagnosis(
        measurement=replace(measurement, stages=()),
        facts=seen.facts,
        ranking=ranking,
        batchnorms=batchnorms,
        sensitivity=sensitivity,
        bits=bits,
        notes=notes + block_notes + fused_notes(ranking) + sample_notes(ranking, bits),
        stages=session.watch.stages,
        versions=versions(),
        options=options.words,
        blocks=block_layers(blocks, measurement.records),
        trainings=trainings,
        verification=verification,
        repaired_network=layers,
    )


def _repaired_network(
    session: Session, case: Case, repaired: Case, ranking: Ranking, sample_count: int | None
) -> RepairedNetwork | None:
    """Its layers, on the samples on which those of the untreated one were measured; with the change of scheme that
    helps where no repair within the scheme does.

    Args:
        case: untreated. repaired: after the last step of the sequence; `case` without one.
        sample_count: on how many most layers of the untreated one were measured; None for all.
    """
    settings = ranking.way_around.settings if ranking.way_around is not None and not ranking.waterfall else ()
    if settings:
        repaired = with_scheme(session, case, change_scheme(case.scheme, settings))
    if repaired is case:
        return None
    depth: Depth = "full errors"
    if sample_count is not None and sparse_layers(repaired, "repaired"):
        depth = "repaired"
    elif sample_count is not None:
        repaired = on_some(repaired, sample_count)
    found = session.measure(repaired, depth, stage="repaired network")
    brief = (replace(r, range=replace(r.range, histogram=None) if r.range is not None else None) for r in found.records)
    return RepairedNetwork(found.layer_sample_count or repaired.measured.sample_count, tuple(brief), settings)


def open_ledger(session: Session, case: Case, options: DiagnoseOptions) -> None:
    """What the passes of this run take is known to a later one with the same options, which may find them kept."""
    if case.tasks.key is None:  # passes with a metric of the user's own are never kept
        return
    sizes = (options.is_exhaustive, options.exact_layers, options.full_losses)
    session.passes.open_ledger(
        batches=[case.measured, case.calibration],
        depends_on=(case.network, case.plan, case.scheme, repr(case.tasks.key), sizes, options.training is not None),
    )


def _branches(session: Session, case: Case) -> tuple[tuple[BranchBlock, ...], tuple[str, ...]]:
    """Parallel branches, and what to say of them; that they could not be looked at is no reason to stop."""
    try:
        blocks = watched_blocks(session, case)
    except QdiagError as error:
        return (), (f"parallel branches were not looked at: {error}",)
    return blocks, branch_notes(blocks)


def _audit(subject: Subject, case: Case) -> tuple[BatchNormAudit | None, tuple[str, ...]]:
    """The audit of the subject's BatchNorms; a model that it cannot read is no reason to stop."""
    weights = case.scheme.weights
    # the audit is about one range for all channels, which float and numbers of one and two bits have not
    bits = 8 if weights.is_float or weights.type in LOW_BITS else weights.bits
    try:
        audit = audit_batchnorms(subject, program=case.program, bits=bits)
    except QdiagError as error:
        return None, (f"the BatchNorms were not audited: {error}",)
    # its wall times are part of the stage around it
    return (replace(audit, stages=()) if audit.records else None), ()


def bits_sweep(
    session: Session,
    case: Case,
    widths: Sequence[int] = BITS,
    *,
    known: Score | None = None,
    is_exhaustive: bool = True,
) -> tuple[BitsPoint, ...]:
    """The network at other widths of all weights and activations that the scheme quantizes; the rest of it stays.

    Args:
        known: the score of the case as it is, which is then not measured again.
        is_exhaustive: every width, on all samples. Otherwise widths are measured away from the case's own on some of
            them, two at a time: down until the network is harmed, up until it is healthy.

    Returns:
        Widths that the formats of the scheme do not have are left out.
    """
    schemes = schemes_at(case.scheme, widths)
    scores = {bits: known for bits, scheme in schemes.items() if known is not None and scheme == case.scheme}
    rest = [bits for bits in schemes if bits not in scores]
    if is_exhaustive or not scores or known is None:
        scores |= _at_widths(session, case, {bits: schemes[bits] for bits in rest})
    else:
        (own,), verdict, case = scores, harm_of(known).verdict, on_some(case, SHOWN_SAMPLES)
        downwards, upwards = [b for b in reversed(rest) if b < own], [b for b in rest if b > own]
        for order, last in ((downwards, "harmed"), (upwards, "healthy")):
            for start in range(0, len(order), _WIDTHS_AT_ONCE) if verdict != last else ():
                tried = order[start : start + _WIDTHS_AT_ONCE]
                scores |= _at_widths(session, case, {bits: schemes[bits] for bits in tried})
                if any(harm_of(scores[bits]).verdict == last for bits in tried):
                    break
    return tuple(BitsPoint(bits, scores[bits]) for bits in schemes if bits in scores)


def _at_widths(session: Session, case: Case, schemes: Mapping[int, QuantScheme]) -> dict[int, Score]:
    cases = {bits: with_scheme(session, case, scheme) for bits, scheme in schemes.items()}
    scored, _ = session.score(list(cases.values()), "other widths")
    return {bits: one.score for bits, one in zip(cases, scored, strict=True)}
