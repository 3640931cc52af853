"""Changes of scheme for the whole network, and what its weights and its activations cost by themselves."""

from qdiag.core.causes.ranking import Trial
from qdiag.core.causes.score import PartScore
from qdiag.core.scheme import QuantScheme
from qdiag.rank.bench import FEW, Attempt, Bench
from qdiag.rank.race import few_words, ruled_out
from qdiag.rank.suspects import Suspect
from qdiag.repairs.base import Treatment
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.facts.bias import new_overflows
from qdiag.simulate.task.scoring import recovery

PART_SAMPLES = FEW
"""Samples behind what weights and activations cost by themselves, which no verdict depends on; all of less than twice
as many."""


def ways_around(bench: Bench) -> tuple[Trial, ...]:
    """The schemes that would spare the repair, best first; those that a few samples rule out last."""
    changes = {r.name: change for r in REPAIRS.values() if r.everywhere and (change := r.everywhere(bench.case))}
    everywhere = Suspect("", "weight", [], [])
    attempts = [
        Attempt(everywhere, name, Treatment(with_scheme(bench.session, bench.case, change.scheme), change.layers))
        for name, change in changes.items()
    ]
    few = ruled_out(bench, attempts, bench.case, "ways around", rivals=lambda attempt: 0)
    left = [a.treatment.case for a in attempts if a.treatment is not None and id(a) not in few]
    scores = iter(bench.score(left, "ways around"))
    count, trials = bench.case.measured.sample_count, list[Trial]()
    for attempt, change in zip(attempts, changes.values(), strict=True):
        assert attempt.treatment is not None
        out = few.get(id(attempt))
        before, after = (out.before, out.after) if out is not None else (bench.base, next(scores))
        trials.append(
            Trial(
                attempt.repair,
                change.layers,
                after=after.score,
                recovery=recovery(before=before, after=after),
                no_placebo=few_words(out, count) if out is not None else None,
                settings=change.settings,
                costs=(*change.costs, *new_overflows(bench.case, attempt.treatment.case)),
            )
        )

    def merit(trial: Trial) -> tuple[int, float]:
        assert trial.recovery is not None and trial.after is not None
        gained = trial.recovery.recovered_task if trial.recovery.has_task else trial.recovery.recovered_db
        return trial.after.task.sample_count, gained

    return tuple(sorted(trials, key=merit, reverse=True))


def part_scores(bench: Bench, repaired: Case | None) -> tuple[PartScore, ...]:
    """Weights alone and activations alone, before and after the sequence of repairs; as a rule on some samples."""
    schemes = _parts(bench.case.scheme)
    if not schemes:
        return ()
    # of each case its own scheme: a repair may have changed it for some layers
    cases = [
        with_scheme(bench.session, case, scheme)
        for case in (bench.case, repaired)
        if case
        for _, scheme in _parts(case.scheme)
    ]
    if not bench.is_exhaustive and bench.case.measured.sample_count >= 2 * PART_SAMPLES:
        cases = [on_some(case, PART_SAMPLES) for case in cases]
    scores = bench.score(cases, "weights and activations apart")
    after = scores[len(schemes) :]
    return tuple(
        PartScore("weights" if is_weights else "activations", scores[i].score, after[i].score if after else None)
        for i, (is_weights, _) in enumerate(schemes)
    )


def _parts(scheme: QuantScheme) -> list[tuple[bool, QuantScheme]]:
    """Empty when only one kind is quantized anyway. A bias at scale_in * scale_w needs both, so it stays in float."""
    if scheme.weights.is_float or scheme.activations.is_float:
        return []
    return [(True, scheme.only("weights")), (False, scheme.only("activations"))]
