"""What a network with parallel branches suffers from once they are fused: looked for, and repaired, in that one."""

from collections.abc import Sequence
from dataclasses import replace

from qdiag.core.causes.findings import OF_FUSED, Evidence, Finding, FindingSite
from qdiag.core.causes.ranking import RankedCause, Ranking, Trial
from qdiag.core.measures.branches import BranchBlock
from qdiag.core.measures.measurement import Measurement
from qdiag.detectors.base import DetectionContext
from qdiag.detectors.graph import identity_branch
from qdiag.errors import RepairRefused
from qdiag.rank.rank import ordered_causes, rank_causes
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.table import REPAIRS
from qdiag.repairs.weights.fuse_branches import FUSE_BRANCHES
from qdiag.simulate.case import Case
from qdiag.simulate.session import Session
from qdiag.simulate.task.scoring import recovery

FIRST = FUSE_BRANCHES.name


def with_fused_suspects(
    session: Session,
    case: Case,
    measurement: Measurement,
    ranking: Ranking,
    blocks: Sequence[BranchBlock],
    *,
    raises: bool = False,
) -> Ranking:
    """The ranking with the identity outliers (QD408) of the fused network as suspects, and what repairs them there.

    Nothing is measured unless the fused weight of a block has an identity that stands out. The fused network is ranked
    as one of its own; what is a cause there is none of the network as it was read, where each branch has its scale.

    Args:
        case, measurement, ranking, blocks: of the network as it was read.
    """
    if not any(b.fusion is not None and b.fusion.identity_over_others >= identity_branch.OVER_OTHERS for b in blocks):
        return ranking
    try:
        treatment = FUSE_BRANCHES.apply(case, (), RepairContext(session=session))
    except RepairRefused:
        return ranking
    seen = session.measure(treatment.case, "facts")
    fused_measurement = replace(measurement, records=seen.records, outputs=seen.outputs, task=seen.task)
    found = identity_branch.find(DetectionContext(fused_measurement, seen.facts))
    ends = _ends(blocks, treatment)
    sites = tuple(site for site in found.sites if site.layer in ends) if found is not None else ()
    if found is None or not sites:
        return ranking
    context = RepairContext(None, {facts.layer: facts for facts in seen.facts}, session)
    fused = rank_causes(treatment.case, [replace(found, sites=sites)], REPAIRS, context, raises=raises)
    fusion = _fusion(session, case, treatment)
    causes = [*ranking.causes, *(_as_read(cause, ends, fusion) for cause in fused.causes)]
    return replace(
        ranking,
        findings=(*ranking.findings, Finding(found.code, _moved(sites, ends), found.repairs)),
        causes=ordered_causes(causes),
        pass_count=ranking.pass_count + fused.pass_count,
        variant_count=ranking.variant_count + fused.variant_count,
        computed_count=ranking.computed_count + fused.computed_count,
        reused_count=ranking.reused_count + fused.reused_count,
    )


def _ends(blocks: Sequence[BranchBlock], treatment: Treatment) -> dict[str, str]:
    """The layer that ends a block as it was read, by the layer of its fused convolution."""
    modules = {b.fusion.weight_name.rpartition(".")[0]: b.layer for b in blocks if b.fusion is not None}
    return {name: modules[name] for name in treatment.layers if name in modules}


def _fusion(session: Session, case: Case, treatment: Treatment) -> Trial:
    (before, after), _ = session.score([case, treatment.case], "fused network")
    return Trial(FIRST, treatment.layers, after=after.score, recovery=recovery(before=before, after=after))


def _moved(sites: Sequence[FindingSite], ends: dict[str, str]) -> tuple[FindingSite, ...]:
    return tuple(
        replace(site, layer=ends[site.layer], evidence=tuple(map(_of_fused, site.evidence)))
        if site.layer in ends
        else site
        for site in sites
    )


def _of_fused(evidence: Evidence) -> Evidence:
    """The layer of the site has SQNRs of its own, in the network as it was read."""
    return replace(evidence, name=f"{OF_FUSED}{evidence.name}") if evidence.unit == "dB" else evidence


def _as_read(cause: RankedCause, ends: dict[str, str], fusion: Trial) -> RankedCause:
    """The suspect at the blocks of the network as it was read."""
    trials = tuple(replace(trial, first=(FIRST,), settings=()) for trial in cause.trials)
    return replace(
        cause,
        sites=_moved(cause.sites, ends),
        findings=tuple(replace(finding, sites=_moved(finding.sites, ends)) for finding in cause.findings),
        trials=(fusion, *trials),
        verdict="fused" if cause.verdict == "cause" else cause.verdict,
        reason=f"in the fused network, {cause.reason}",
    )
