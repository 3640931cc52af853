"""The changes of scheme that a ranking measured, as every surface lists them."""

import math
from dataclasses import dataclass, replace

from qdiag.core.causes.ranking import Ranking, Trial
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.layers.repaired import repaired_words
from qdiag.reading.suspects import TrialRow, trial_row
from qdiag.reading.words.commands.repairing import way_around_commands
from qdiag.reading.words.evidence import evidence_words


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change of scheme.

    Attributes:
        costs: what it costs the user, a phrase each.
        commands: how to measure it by itself; empty where it recovers nothing, or no setting makes it so.
        repaired_layers: what the change that helps most makes of the weakest layers; empty where that is not known.
    """

    tried: TrialRow
    costs: tuple[str, ...]
    commands: tuple[str, ...]
    repaired_layers: str = ""

    @property
    def title(self) -> str:
        return self.tried.title

    @property
    def layers(self) -> tuple[str, ...]:
        return self.tried.trial.layers


def change_rows(diagnosis: Diagnosis) -> tuple[ChangeRow, ...]:
    """One row per change of scheme, the one that recovered most first; a command stands at the first that needs it."""
    rows, seen = list[ChangeRow](), set[str]()
    for trial in scheme_changes(diagnosis.ranking):
        lines = way_around_commands(diagnosis, trial) if trial.helps else ()
        new = tuple(line for line in lines if line not in seen)
        seen.update(new)
        row = trial_row(trial, diagnosis.ranking)
        if row.measured_on:
            row = replace(row, afterwards=f"{row.measured_on}, {row.afterwards}")
        is_best = trial is diagnosis.ranking.way_around
        after = repaired_words(diagnosis, change=f"{row.title} ({row.where})") if is_best else ""
        rows.append(ChangeRow(row, tuple(map(evidence_words, trial.costs)), new, after))
    return tuple(rows)


def scheme_changes(ranking: Ranking) -> tuple[Trial, ...]:
    """For the whole network and at the layers of suspects, each once, the one that recovered most first.

    Refused ones are left out: they stand with the cause that they were tried for. So are those that do not help, where
    the network is not harmed: there is nothing that they fail to recover.
    """
    own = [trial for cause in ranking.causes for trial in cause.trials if not (trial.keeps_scheme or trial.first)]
    best = [ranking.way_around] if ranking.way_around else []
    first: dict[object, Trial] = {}
    for trial in (*best, *ranking.ways_around, *own):
        if trial.recovery is not None and (trial.helps or ranking.harm.verdict == "harmed"):
            first.setdefault((trial.repair, trial.layers), trial)
    return tuple(sorted(first.values(), key=_gain, reverse=True))


def _gain(trial: Trial) -> float:
    recovered = trial.recovery.recovered_db if trial.recovery else math.nan
    return -math.inf if math.isnan(recovered) else recovered
