"""The table of suspects and their repairs: its rows, and what stands in its columns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from qdiag.cli.tables.fit import Column
from qdiag.core.causes.ranking import Ranking, Verdict
from qdiag.reading.amount import Amount
from qdiag.reading.labels import PLACEBO, RECOVERS, VERDICT
from qdiag.reading.layer_names import layers_named
from qdiag.reading.suspects import SuspectRow, TrialRow
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.task.figures import change_unit, noun

_VERDICT_STYLES: dict[Verdict, str] = {
    "cause": "bold red",
    "fused": "red",
    "undecided": "yellow",
    "untested": "dim",
    "harmless": "green",
}
_NO_PLACEBO = "no placebo was measured for this repair"
_TRIALS_SHOWN = 4
_FUSED_SHOWN = 6
"""What fusion does, and what repairs it then."""


@dataclass(frozen=True, slots=True)
class Row:
    """The suspect itself, the line with its layers, one of its repairs, or how many more there are, and where."""

    suspect: SuspectRow
    kind: Literal["suspect", "layers", "trial", "more"]
    trial: TrialRow | None = None
    more: int = 0
    has_report: bool = False


def suspect_rows(suspect: SuspectRow, *, has_report: bool) -> Iterator[Row]:
    """The suspect, then its trials; of a suspect without anything to gain only the best one."""
    yield Row(suspect, "suspect")
    yield Row(suspect, "layers")
    measured = [trial for trial in suspect.trials if not trial.refused]
    shown = {"harmless": 1, "fused": _FUSED_SHOWN}.get(suspect.cause.verdict, _TRIALS_SHOWN)
    for trial in measured[:shown]:
        yield Row(suspect, "trial", trial)
    if len(measured) > shown:
        yield Row(suspect, "more", more=len(measured) - shown, has_report=has_report)


def suspect_name(row: Row) -> Text:
    """What stands in the first column: the suspect, its layers, or one of its repairs."""
    suspect, trial = row.suspect, row.trial
    if trial is not None:
        mark = "" if trial.scheme == "kept" else "scheme change: "
        few = f", {trial.measured_on}" if trial.measured_on else ""
        other = ", which changes the float network" if trial.changes_float_network else ""
        return Text(f"   {mark}{trial.title}{few}{other}")
    if row.kind == "suspect":
        return Text(f"{suspect.rank}. {suspect.code} {suspect.title}", style="bold")
    if row.kind == "layers":
        return Text(f"   in {layers_named(suspect.layers)}", style="dim")
    where = "in the report" if row.has_report else "in --json"
    return Text(f"   {count_noun(row.more, 'more repair')} {where}", style="dim")


def suspect_columns(ranking: Ranking) -> list[Column[Row]]:
    """What a repair recovers, what its placebo does, and the verdict."""
    criterion = ranking.criterion
    found: list[Column[Row]] = []
    unit = change_unit(criterion)
    if criterion is not None:
        found.append(Column(f"{RECOVERS}\n{noun(criterion)} {unit}".rstrip(), _recovered, 95))
        found.append(Column("\n95 %", _interval, 70, title="95 % interval of what is recovered"))
    found.append(Column(f"{RECOVERS}\nSQNR dB", _decibels, 94 if criterion is None else 60))
    first, _, last = PLACEBO.partition(" ")
    title = f"{first}\n{last} {unit}".rstrip()
    found.append(Column(title, _placebo_cell(ranking), 80, title=PLACEBO, dash=_NO_PLACEBO))
    found.append(Column(f"\n{VERDICT}", _verdict, 90, is_left=True))
    return found


def _recovered(row: Row) -> Text:
    return _number(row.trial.recovers if row.trial is not None else None)


def _interval(row: Row) -> Text:
    amount = row.trial.recovers if row.trial is not None else None
    return Text(amount.interval if amount is not None else "")


def _decibels(row: Row) -> Text:
    return _number((row.trial.decibels or row.trial.recovers) if row.trial is not None else None)


def _placebo_cell(ranking: Ranking) -> Callable[[Row], Text]:
    """What the placebo recovers; where not all were measured on the same samples, each says on how many."""
    trials = [trial for cause in ranking.causes for trial in cause.trials]
    differ = any(trial.placebo is not None and trial.placebo.sample_count is not None for trial in trials)

    def cell(row: Row) -> Text:
        if row.trial is None or row.trial.placebo is None:
            return Text("-" if _has_no_placebo(row) else "")
        found = row.trial.trial.placebo
        count = found.sample_count if found is not None else None
        on = f" on {ranking.before.task.sample_count if count is None else count}" if differ else ""
        return Text(f"{row.trial.placebo.number}{on}")

    return cell


def _has_no_placebo(row: Row) -> bool:
    """A repair that was measured, and no placebo beside it."""
    return row.trial is not None and row.trial.placebo is None and row.trial.recovers is not None


def _number(amount: Amount | None) -> Text:
    return Text(amount.number if amount is not None else "")


def _verdict(row: Row) -> Text:
    if row.kind != "suspect":
        return Text("")
    return Text(row.suspect.verdict, style=_VERDICT_STYLES[row.suspect.cause.verdict])
