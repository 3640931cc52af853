"""The tables of a result as pandas DataFrames."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from qdiag.core.causes.ranking import RankedCause, Ranking, Trial
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.reading.told import told_trial
from qdiag.reading.words.causes import cause_title, repair_title
from qdiag.writers.csv.diagnosis import diagnosis_layer_frame
from qdiag.writers.csv.layers import layer_frame, range_frame
from qdiag.writers.csv.text import known

Frame = pd.DataFrame


def cause_frame(diagnosis: Diagnosis) -> Frame:
    """One row per suspect, in the order of rank, with the repair that is told of it."""
    rows = [_cause(cause, diagnosis.ranking) for cause in diagnosis.ranking.causes]
    return Frame(rows, columns=["rank", "code", "title", "verdict", "layers", "best_repair", *_RECOVERED])


def trial_frame(diagnosis: Diagnosis) -> Frame:
    """One row per repair that was tried, and per suspect that it was tried for."""
    rows = [
        {
            "code": cause.code,
            "repair": trial.repair,
            "title": repair_title(trial.repair),
            "layers": " ".join(trial.layers),
            "keeps_scheme": trial.keeps_scheme,
            "refused": trial.refused,
            "is_proved": trial.is_claim,
            **_recovered(trial),
        }
        for cause in diagnosis.ranking.causes
        for trial in cause.trials
    ]
    columns = ["code", "repair", "title", "layers", "keeps_scheme", "refused", "is_proved", *_RECOVERED]
    return Frame(rows, columns=columns)


TABLES: Mapping[type[Any], Mapping[str, Callable[[Any], Frame]]] = {
    Diagnosis: {"layers": diagnosis_layer_frame, "causes": cause_frame, "trials": trial_frame},
    Measurement: {"layers": layer_frame},
    RangeReport: {"layers": range_frame},
}
"""By the kind of result, then by name."""

_RECOVERED = ("recovers", "recovers_low", "recovers_high", "recovers_db", "placebo_recovers")
"""The labels of every surface, with their words joined."""


def _cause(cause: RankedCause, ranking: Ranking) -> dict[str, object]:
    best = told_trial(ranking, cause)
    return {
        "rank": cause.rank,
        "code": cause.code,
        "title": cause_title(cause.code),
        "verdict": cause.verdict,
        "layers": " ".join(cause.layers),
        "best_repair": best.repair if best is not None else None,
        **_recovered(best),
    }


def _recovered(trial: Trial | None) -> dict[str, float | None]:
    """What came back, in the unit of the figure that judges, with its 95 % interval, and in dB at the output."""
    if trial is None or trial.recovery is None:
        return dict.fromkeys(_RECOVERED)
    own, placebo = trial.recovery, trial.placebo
    return {
        "recovers": known(own.recovered_task),
        "recovers_low": known(own.task_interval.low),
        "recovers_high": known(own.task_interval.high),
        "recovers_db": known(own.recovered_db),
        "placebo_recovers": known(placebo.recovery.recovered_task) if placebo is not None else None,
    }
