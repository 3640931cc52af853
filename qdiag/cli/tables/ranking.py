"""What `qdiag rank` and `qdiag diagnose` print: the verdict, the suspects, the sequence of repairs, what to run."""

import math
from collections.abc import Iterator
from typing import Literal

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from qdiag.cli.console import print_commands
from qdiag.cli.tables.deployment.edits import print_file
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import (
    capture_lines,
    data_lines,
    figure_text,
    file_lines,
    float_lines,
    header_grid,
    judged_lines,
    model_lines,
    next_step,
    preprocessing_lines,
    size_lines,
)
from qdiag.cli.tables.training.ranked import print_trainings
from qdiag.core.causes.ranking import RankedCause, Ranking, Trial, WaterfallStep
from qdiag.core.causes.score import PartScore, Recovery
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.core.measures.task import Criterion
from qdiag.reading.words.causes import (
    VERDICT_WORDS,
    cause_title,
    commands,
    headline,
    repair_title,
    score_words,
    step_title,
    trial_title,
    way_around_commands,
)
from qdiag.reading.words.commands.repairing import scheme_words
from qdiag.reading.words.numbers import UNKNOWN, count_noun, number
from qdiag.reading.words.preprocessing import preprocessing_command
from qdiag.reading.words.task.afterwards import afterwards_words, repair_heading, still_words
from qdiag.reading.words.task.choice import counts_no_answers
from qdiag.reading.words.task.figures import (
    bounds_words,
    change_unit,
    change_words,
    digits,
    gain_of,
    level_words,
    noun,
    trial_criterion,
)
from qdiag.reading.words.task.places import lost_most_words
from qdiag.reading.words.trials.remarks import trial_remarks

_VERDICT_STYLES = {"cause": "bold red", "fused": "red", "undecided": "yellow", "untested": "dim", "harmless": "green"}
_TRIALS_SHOWN = 4
_FUSED_SHOWN = 6
"""What fusion does, and what repairs it then."""


def print_ranking(console: Console, diagnosis: Diagnosis) -> None:
    """Header, verdict, suspects with their repairs, waterfall, ways around, commands."""
    ranking = diagnosis.ranking
    console.print(header_grid(*_header(diagnosis)))
    console.print()
    again = preprocessing_command(diagnosis)
    if again is not None:
        print_commands(console, "To look again with other inputs:", [again])
        console.print()
    console.print(Text(headline(diagnosis), style="bold"))
    if ranking.causes:
        console.print()
        rows = [row for cause in ranking.causes for row in _rows(cause)]
        name = Column("suspects and their repairs,\neach made alone", _name, wraps=True)
        table = fit_table(console, name, _columns(ranking), rows)
        console.print(table)
        reasons, where = list(trial_remarks(ranking)), lost_most_words(ranking.before)
        if where and any("SQNR" in str(column.header) for column in table.columns):
            reasons.append(f"The SQNR that comes back is that{where}, which had lost most.")
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
    yield from file_lines(measurement.deployed)
    yield from size_lines(measurement.size)
    yield from data_lines(measurement.data)
    yield from preprocessing_lines(measurement)
    yield from capture_lines(measurement.capture)
    yield from float_lines(measurement)
    task = measurement.task
    if task.choice.kind != "classify" or task.choice.reason == "metric":
        for word, figure in zip(("task", *[""] * len(task.figures)), task.figures, strict=False):
            yield word, figure_text(figure)
    yield from judged_lines(task)
    passes = "1 pass" if ranking.pass_count == 1 else f"{ranking.pass_count} passes"
    words = f"{count_noun(ranking.variant_count, 'network')} in {passes} beside one float reference"
    yield "repairs", Text(words)
    for note in (*measurement.notes, *diagnosis.notes, *ranking.notes):
        yield "note", Text(note)


def _rows(cause: RankedCause) -> Iterator[Row]:
    """The suspect, then its trials; of a suspect without anything to gain only the best one."""
    yield cause, None
    yield cause, "layers"
    shown = {"harmless": 1, "fused": _FUSED_SHOWN}.get(cause.verdict, _TRIALS_SHOWN)
    for trial in [t for t in cause.trials if t.refused is None][:shown]:
        yield cause, trial


def _name(row: Row) -> Text:
    cause, trial = row
    if trial is None:
        return Text(f"{cause.rank}. {cause.code} {cause_title(cause.code)}", style="bold")
    if trial == "layers":
        return Text(f"   in {listed(cause.layers, 3)}", style="dim")
    mark = "" if trial.keeps_scheme else "way around: "
    return Text(f"   {mark}{trial_title(trial)}", style="dim" if trial.refused else "")


def _columns(ranking: Ranking) -> list[Column[Row]]:
    criterion = ranking.criterion
    found: list[Column[Row]] = []
    unit = change_unit(criterion)
    if criterion is not None:
        found.append(Column(f"gives back\n{noun(criterion)} {unit}".rstrip(), _points, 95))
        found.append(Column("\n95 %", _interval, 70))
    found.append(Column("gives back\nSQNR dB", _decibels, 94 if criterion is None else 60))
    found.append(Column(f"placebo\n{unit}", _placebo, 80))
    found.append(Column("\nverdict", _verdict, 90, is_left=True))
    return found


def _points(row: Row) -> Text:
    recovery, criterion = _recovery(row), _criterion(row)
    if recovery is None:
        return Text("")
    value = recovery.recovered_task
    return Text(UNKNOWN if math.isnan(value) else digits(criterion, value))


def _interval(row: Row) -> Text:
    recovery = _recovery(row)
    bounds = bounds_words(_criterion(row), recovery.task_interval) if recovery is not None else ""
    return Text(bounds.removeprefix("95 %: "))


def _decibels(row: Row) -> Text:
    recovery = _recovery(row)
    return Text(number(recovery.recovered_db) if recovery is not None else "")


def _placebo(row: Row) -> Text:
    trial = row[1]
    if not isinstance(trial, Trial) or trial.placebo is None:
        return Text("-" if _recovery(row) is not None else "")
    criterion, value, _ = gain_of(trial.placebo.recovery, trial_criterion(trial))
    return Text(UNKNOWN if math.isnan(value) else digits(criterion, value))


def _verdict(row: Row) -> Text:
    cause, trial = row
    if trial is None:
        return Text(VERDICT_WORDS[cause.verdict], style=_VERDICT_STYLES[cause.verdict])
    return Text("refused" if isinstance(trial, Trial) and trial.refused is not None else "", style="dim")


def _recovery(row: Row) -> Recovery | None:
    return row[1].recovery if isinstance(row[1], Trial) else None


def _criterion(row: Row) -> Criterion | None:
    return trial_criterion(row[1]) if isinstance(row[1], Trial) else None


def _waterfall(ranking: Ranking) -> Iterator[tuple[str, Text]]:
    criterion = ranking.criterion
    yield "one after another", Text(f"as it is: {score_words(ranking.before, criterion)}")
    for i, step in enumerate(ranking.waterfall, 1):
        yield "", Text(f"{i}. {_step(step)}: {score_words(step.after, criterion)}")
    if criterion is not None:
        left = f"no repair gives back the remaining {change_words(criterion, ranking.remainder)}"
        yield "", Text(f"{'nothing is left' if ranking.remainder <= 0.0 else left}{_apart(ranking)}")


def _step(step: WaterfallStep) -> str:
    return f"{step_title(step)} → {repair_title(step.repair)}"


def _apart(ranking: Ranking) -> str:
    parts = [_part(part, ranking) for part in ranking.parts if part.after is not None]
    return f" (quantized then: {', '.join(parts)})" if parts else ""


def _part(part: PartScore, ranking: Ranking) -> str:
    score = part.after or part.before
    return f"{part.part} alone {level_words(score, ranking.criterion)}"


def _print_rest(console: Console, diagnosis: Diagnosis) -> None:
    ranking = diagnosis.ranking
    if ranking.ways_around:
        console.print()
        lines = [
            (repair_title(t.repair), Text(score_words(t.after, ranking.criterion) + still_words(t.after)))
            for t in ranking.ways_around
            if t.after
        ]
        console.print(header_grid(("another scheme", Text("")), *((f"  {name}", words) for name, words in lines)))
    proposed = commands(diagnosis)
    around = way_around_commands(diagnosis, ranking.way_around) if ranking.way_around is not None else ()
    if counts_no_answers(ranking.before.task):
        console.print()
        console.print(next_step(ranking.before.task))
    way = ranking.way_around.after if ranking.way_around is not None else None
    for title, found, after in (
        (repair_heading(ranking, proposed), proposed, ranking.repaired),
        ("Or around it:" if proposed else "Around it:", around, way),
    ):
        if found:
            console.print()
            print_commands(console, title, found)
            left = afterwards_words(after)
            if left:
                console.print(Padding(Text(left), (0, 0, 0, 2)))
    print_file(console, diagnosis)
    if scheme_words((*proposed, *around)):
        console.print(Text(f"{scheme_words((*proposed, *around))}.", style="dim"))
    print_trainings(console, diagnosis)
