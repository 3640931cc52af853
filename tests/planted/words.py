"""Words that follow what was measured: nothing is proposed or praised that gave nothing back."""

import re

from qdiag.core.causes.ranking import Ranking, Trial
from qdiag.core.causes.score import Recovery
from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.words.causes import commands, headline


def assert_words_follow(found: Diagnosis) -> None:
    """Holds the headline and the commands of a diagnosis against its figures."""
    ranking, words = found.ranking, headline(found)
    if commands(found):
        gains = [step.gained for step in ranking.waterfall] or [
            trial.recovery
            for cause in ranking.claimed
            for trial in cause.trials
            if trial.keeps_scheme and trial.recovery is not None and _is_sure(trial.recovery)
        ]
        assert gains and _is_sure(gains[-1]), words
        assert not ranking.waterfall or _given_back(ranking) > 0.0, words
    quoted = re.findall(r"gives? back (-?[\d.]+) ", words)
    if quoted and not ranking.waterfall:
        proofs = [t.recovery for cause in ranking.claimed for t in cause.trials if t.recovery and _is_sure(t.recovery)]
        sizes = {f"{r.recovered_task if r.has_task else r.recovered_db:.1f}" for r in proofs}
        assert set(quoted) <= sizes, words
    assert all(float(size) > 0.0 for size in quoted), words
    if ranking.claimed:
        proofs_of_first = [t for t in ranking.claimed[0].trials if _is_proof(t)]
        by_scheme_alone = bool(proofs_of_first) and not any(t.keeps_scheme for t in proofs_of_first)
        assert ("only a change of scheme" in words) == by_scheme_alone, words
    for cause in ranking.causes:
        is_refused = any(trial.refused is not None for trial in cause.trials)
        assert not (is_refused and "could be" in cause.reason), cause.reason


def _is_proof(trial: Trial) -> bool:
    if trial.recovery is None or not _is_sure(trial.recovery):
        return False
    return trial.placebo is None or _is_sure(trial.placebo.over_placebo)


def _is_sure(recovery: Recovery) -> bool:
    if recovery.has_task:
        return recovery.task_interval.low > 0.0
    return recovery.db_interval.low > 0.0


def _given_back(ranking: Ranking) -> float:
    """Points of the figure that judges, or dB."""
    before, after = ranking.before.task.judged, ranking.waterfall[-1].after.task.judged
    if before is None or after is None:
        return ranking.waterfall[-1].after.output_sqnr_db - ranking.before.output_sqnr_db
    return before.loss - after.loss
