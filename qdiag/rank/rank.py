"""From findings to causes, ranked by what the repair of each alone recovers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from qdiag.core.causes.findings import Finding
from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.lost_outputs import lost_outputs
from qdiag.core.causes.ranking import RankedCause, Ranking, Trial, Verdict
from qdiag.core.causes.score import Score
from qdiag.rank.bench import Bench
from qdiag.rank.claim import is_claim, on_most_samples, order_trials, strength, verdict_on
from qdiag.rank.harm import harm_notes
from qdiag.rank.network_wide import part_scores, ways_around
from qdiag.rank.suspects import Suspect, suspects_of
from qdiag.rank.together import build_together
from qdiag.rank.trials import run_trials
from qdiag.rank.unexplained import unexplained_suspect
from qdiag.rank.waterfall import Step, build_waterfall, needed_steps, suspects_steps
from qdiag.rank.way_around import way_around
from qdiag.repairs.base import Repair, RepairContext
from qdiag.simulate.case import Case

_ORDER: dict[Verdict, int] = {"cause": 0, "fused": 1, "undecided": 2, "untested": 3, "harmless": 4}


def rank_causes(
    case: Case,
    findings: Sequence[Finding],
    repairs: Mapping[str, Repair],
    context: RepairContext,
    *,
    raises: bool = False,
) -> Ranking:
    """Applies every repair of every finding alone, then the best ones together, and says what each recovered.

    All networks are measured on `case.measured`, beside one float reference whose unchanged prefix they share. Nothing
    in `case` is changed.

    Args:
        repairs: by name. context: of the untreated network.
        raises: an unexpected error inside a repair ends the run instead of being the reason why it was not made.

    Raises:
        QdiagError: the network cannot be run on the data.
    """
    return rank_network(case, findings, repairs, context, raises=raises)[0]


def rank_network(
    case: Case,
    findings: Sequence[Finding],
    repairs: Mapping[str, Repair],
    context: RepairContext,
    *,
    raises: bool = False,
    is_exhaustive: bool = True,
) -> tuple[Ranking, Case]:
    """See `rank_causes`; also the network after the last repair of the sequence, the untreated one without any.

    Args:
        is_exhaustive: what no verdict depends on is measured too: placebos of repairs beside a better one that has a
            placebo, and checkpoints of repairs that give nothing back.
    """
    suspects = suspects_of(findings)
    bench = Bench(case, repairs, context, suspects, raises, is_exhaustive)
    tried = run_trials(bench, suspects)
    base, harm = bench.base, harm_of(bench.base.score)
    ordered = [(suspect, order_trials(trials)) for suspect, trials in tried]
    is_worth_it = harm.verdict != "healthy" and bool(base.score.outputs)
    steps = build_waterfall(bench, ordered) or build_together(bench, ordered) if is_worth_it else []
    needed = needed_steps(bench, steps)
    late = unexplained_suspect(findings, base.score, ordered, steps[-1].after.score if steps else None)
    if late is not None:  # by changes of scheme, which no step of the sequence makes
        ordered = [pair for pair in ordered if pair[0].code != late.code]
        ordered += [(suspect, order_trials(trials)) for suspect, trials in run_trials(bench, [late])]
    parts = part_scores(bench, steps[-1].treatment.case if steps else None)
    around = ways_around(bench) if is_worth_it else ()
    ranking = Ranking(
        harm=harm,
        before=base.score,
        findings=tuple(findings),
        causes=_causes(base.score, ordered, steps, needed),
        waterfall=tuple(step.record() for step in steps),
        way_around=way_around(
            on_most_samples(around), [trial for _, trials in ordered for trial in on_most_samples(trials)]
        ),
        pass_count=bench.effort.pass_count,
        variant_count=bench.effort.variant_count,
        notes=harm_notes(base.score, harm),
        ways_around=around,
        parts=parts,
        computed_count=bench.effort.computed_count,
        reused_count=bench.effort.reused_count,
    )
    return ranking, steps[-1].treatment.case if steps else case


def ordered_causes(causes: Sequence[RankedCause]) -> tuple[RankedCause, ...]:
    """By their verdicts, those of one verdict in the order in which they are given, numbered anew."""
    ordered = sorted(causes, key=lambda cause: _ORDER[cause.verdict])
    return tuple(replace(cause, rank=i) for i, cause in enumerate(ordered, 1))


Judged = tuple[Suspect, tuple[Trial, ...], Verdict, str]


def _told_apart(judged: Sequence[Judged]) -> list[Judged]:
    """Of suspects whose only proof is one and the same repair, the first is the cause: no more is known of others."""
    found: list[Judged] = []
    proofs: dict[str, list[tuple[str, tuple[str, ...], Score | None]]] = {}
    for suspect, trials, verdict, reason in judged:
        own = [(t.repair, t.layers, t.after) for t in trials if is_claim(t)] if verdict == "cause" else []
        other = next((code for code, seen in proofs.items() if own and all(proof in seen for proof in own)), None)
        if other is not None:
            verdict, reason = "undecided", f"the repair that helps is that of {other} at the same layers"
        proofs.setdefault(suspect.code, []).extend(own if other is None else [])
        found.append((suspect, trials, verdict, reason))
    return found


def _causes(
    before: Score, ordered: Sequence[tuple[Suspect, tuple[Trial, ...]]], steps: Sequence[Step], needed: Sequence[bool]
) -> tuple[RankedCause, ...]:
    own, harm, is_lost = suspects_steps(steps), harm_of(before), bool(lost_outputs(before))
    left = harm_of(own[-1].after.score).state if own else None
    judged = list[Judged]()
    for suspect, trials in ordered:
        is_needed = any(step.suspect is suspect and n for step, n in zip(steps, needed, strict=True))
        verdict = verdict_on(harm, trials, needed_in_sequence=is_needed, left=left, has_lost_output=is_lost)
        judged.append((suspect, trials, *verdict))
    places = {id(step.suspect): i for i, step in enumerate(steps)}

    def rank(row: Judged) -> tuple[object, ...]:
        suspect, trials, verdict, _ = row
        kept, sure, points, decibels = strength(trials)
        # equal alone (both hidden behind a third, or each behind the other), the sequence tells which gives more
        place = places.get(id(suspect), len(steps))
        return (_ORDER[verdict], not kept, -round(sure, 9), place, -round(points, 9), -decibels)

    judged.sort(key=rank)
    judged = _told_apart(judged)
    judged.sort(key=lambda row: _ORDER[row[2]])
    return tuple(
        RankedCause(i, suspect.code, tuple(suspect.sites), suspect.findings(), trials, verdict, reason)
        for i, (suspect, trials, verdict, reason) in enumerate(judged, 1)
    )
