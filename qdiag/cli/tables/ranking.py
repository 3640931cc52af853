"""What `qdiag rank` and `qdiag diagnose` print: the verdict, the suspects, the sequence of repairs, what to run."""

from collections.abc import Iterator, Sequence
from typing import Literal

from rich.console import Console
from rich.text import Text

from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import (
    capture_lines,
    data_lines,
    float_lines,
    header_grid,
    metric_words,
    model_lines,
    preprocessing_lines,
)
from qdiag.core.causes.ranking import PartScore, RankedCause, Ranking, Recovery, Trial, WaterfallStep
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.writers.words.causes import (
    VERDICT_WORDS,
    cause_title,
    commands,
    headline,
    repair_title,
    score_words,
    step_title,
    way_around_commands,
)
from qdiag.writers.words.numbers import count_noun, interval_words, number, task_noun, with_unit
from qdiag.writers.words.preprocessing import preprocessing_command

_VERDICT_STYLES = {"cause": "bold red", "undecided": "yellow", "untested": "dim", "harmless": "green"}
_TRIALS_SHOWN = 4
_RANKED_BY = {"top1": "top-1", "agreement": "agreement of the top-1", "none": "SQNR at the output"}


def print_ranking(console: Console, diagnosis: Diagnosis) -> None:
    """Header, verdict, suspects with their repairs, waterfall, ways around, commands."""
    ranking = diagnosis.ranking
    console.print(header_grid(*_header(diagnosis)))
    console.print()
    again = preprocessing_command(diagnosis)
    if again is not None:
        _print_commands(console, "To look again with other inputs:", [again])
        console.print()
    console.print(Text(headline(diagnosis), style="bold"))
    if ranking.causes:
        console.print()
        rows = [row for cause in ranking.causes for row in _rows(cause)]
        name = Column("suspects and their repairs,\neach made alone", _name, wraps=True)
        console.print(fit_table(console, name, _columns(ranking), rows))
        reasons = list(_reasons(ranking))
        if reasons:
            console.print()
        for reason in reasons:
            console.print(Text(reason, style="dim"))
    if ranking.waterfall:
        console.print()
        console.print(header_grid(*_waterfall(ranking)))
    _print_rest(console, diagnosis)


Row = tuple[RankedCause, Trial | Literal["layers"] | None]
"""The suspect itself (None), the line with its layers, or one of its repairs."""


def _header(diagnosis: Diagnosis) -> Iterator[tuple[str, Text]]:
    measurement, ranking = diagnosis.measurement, diagnosis.ranking
    yield from model_lines(measurement.model)
    yield "scheme", Text(measurement.scheme.name, style="bold")
    yield from data_lines(measurement.data)
    yield from preprocessing_lines(measurement)
    yield from capture_lines(measurement.capture)
    yield from float_lines(measurement)
    for score in measurement.task.metrics:
        yield "metric", Text(f"{metric_words(score)}; repairs are ranked by {_RANKED_BY[ranking.task_kind]}")
    passes = "1 pass" if ranking.pass_count == 1 else f"{ranking.pass_count} passes"
    words = f"{count_noun(ranking.variant_count, 'network')} in {passes} beside one float reference"
    yield "repairs", Text(words)
    for note in (*measurement.notes, *diagnosis.notes, *ranking.notes):
        yield "note", Text(note)


def _rows(cause: RankedCause) -> Iterator[Row]:
    """The suspect, then its trials; of a suspect without anything to gain only the best one."""
    yield cause, None
    yield cause, "layers"
    shown = _TRIALS_SHOWN if cause.verdict != "harmless" else 1
    for trial in [t for t in cause.trials if t.refused is None][:shown]:
        yield cause, trial


def _name(row: Row) -> Text:
    cause, trial = row
    if trial is None:
        return Text(f"{cause.rank}. {cause.code} {cause_title(cause.code)}", style="bold")
    if trial == "layers":
        return Text(f"   in {listed(cause.layers, 3)}", style="dim")
    mark = "" if trial.keeps_scheme else "way around: "
    return Text(f"   {mark}{repair_title(trial.repair)}", style="dim" if trial.refused else "")


def _columns(ranking: Ranking) -> list[Column[Row]]:
    noun = {"top1": "top-1", "agreement": "agreement"}.get(ranking.task_kind, "")
    found: list[Column[Row]] = []
    if ranking.task_kind != "none":
        found.append(Column(f"gives back\n{noun} pp", _points, 95))
        found.append(Column("\n95 %", _interval, 70))
    found.append(Column("gives back\noutput dB", _decibels, 94 if ranking.task_kind == "none" else 60))
    found.append(Column("placebo\npp" if ranking.task_kind != "none" else "placebo\ndB", _placebo, 80))
    found.append(Column("\nverdict", _verdict, 90, is_left=True))
    return found


def _points(row: Row) -> Text:
    recovery = _recovery(row)
    return Text(number(recovery.recovered_pp) if recovery is not None else "")


def _interval(row: Row) -> Text:
    recovery = _recovery(row)
    return Text(interval_words(recovery.pp_interval).removeprefix("95 %: ") if recovery is not None else "")


def _decibels(row: Row) -> Text:
    recovery = _recovery(row)
    return Text(number(recovery.recovered_db) if recovery is not None else "")


def _placebo(row: Row) -> Text:
    trial = row[1]
    if not isinstance(trial, Trial) or trial.placebo is None:
        return Text("-" if _recovery(row) is not None else "")
    recovery = trial.placebo.recovery
    return Text(number(recovery.recovered_pp if recovery.pairs is not None else recovery.recovered_db))


def _verdict(row: Row) -> Text:
    cause, trial = row
    if trial is None:
        return Text(VERDICT_WORDS[cause.verdict], style=_VERDICT_STYLES[cause.verdict])
    return Text("refused" if isinstance(trial, Trial) and trial.refused is not None else "", style="dim")


def _recovery(row: Row) -> Recovery | None:
    return row[1].recovery if isinstance(row[1], Trial) else None


def _reasons(ranking: Ranking) -> Iterator[str]:
    """Why suspects are not called causes, and why repairs were not made."""
    for cause in ranking.causes:
        if cause.verdict != "cause":
            yield f"{cause.rank}. {cause.code} is {VERDICT_WORDS[cause.verdict]}: {cause.reason}."
        for trial in cause.trials:
            if trial.refused is not None and cause.verdict != "harmless":
                yield f"{cause.rank}. {cause.code}, {repair_title(trial.repair)}: refused, {trial.refused}."


def _waterfall(ranking: Ranking) -> Iterator[tuple[str, Text]]:
    kind = ranking.task_kind
    yield "one after another", Text(f"as it is: {score_words(ranking.before, kind)}")
    for i, step in enumerate(ranking.waterfall, 1):
        yield "", Text(f"{i}. {_step(step)}: {score_words(step.after, kind)}")
    if kind != "none":
        left = f"no repair gives back the remaining {with_unit(ranking.remainder_pp, 'pp')}"
        yield "", Text(f"{'nothing is left' if ranking.remainder_pp <= 0.0 else left}{_apart(ranking)}")


def _step(step: WaterfallStep) -> str:
    return f"{step_title(step)} → {repair_title(step.repair)}"


def _apart(ranking: Ranking) -> str:
    parts = [_part(part, ranking) for part in ranking.parts if part.after is not None]
    return f" (quantized then: {', '.join(parts)})" if parts else ""


def _part(part: PartScore, ranking: Ranking) -> str:
    score = part.after or part.before
    return f"{part.part} alone {number(score.task_percent)} % {task_noun(ranking.task_kind)}"


def _print_rest(console: Console, diagnosis: Diagnosis) -> None:
    ranking = diagnosis.ranking
    if ranking.ways_around:
        console.print()
        lines = [
            (repair_title(t.repair), Text(score_words(t.after, ranking.task_kind)))
            for t in ranking.ways_around
            if t.after
        ]
        console.print(header_grid(("another scheme", Text("")), *((f"  {name}", words) for name, words in lines)))
    proposed = commands(diagnosis)
    around = way_around_commands(diagnosis, ranking.way_around) if ranking.way_around is not None else ()
    for title, found in (("To repair it:", proposed), ("Or around it:", around)):
        if found:
            console.print()
            _print_commands(console, title, found)


def _print_commands(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print(Text(title, style="bold"))
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)
