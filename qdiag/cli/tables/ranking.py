"""What `qdiag rank` and `qdiag diagnose` print: the verdict, the suspects, the sequence of repairs, what to run."""

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from qdiag.cli.console import print_commands
from qdiag.cli.tables.deployment.edits import print_file
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.ranked.suspects import suspect_columns, suspect_name, suspect_rows
from qdiag.cli.tables.sqnr_header import (
    capture_lines,
    data_lines,
    data_use,
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
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.diagnosis import Reading, read
from qdiag.reading.labels import AS_IT_IS, CHANGES_TITLE, SEQUENCE_TITLE, UNTRIED_TITLE
from qdiag.reading.layer_names import layers_named
from qdiag.reading.proposals import Proposal
from qdiag.reading.scheme_changes import ChangeRow
from qdiag.reading.suspects import FindingRow
from qdiag.reading.words.numbers import recovers_words
from qdiag.reading.words.task.choice import counts_no_answers
from qdiag.reading.words.task.places import lost_most_words
from qdiag.reading.words.trials.remarks import trial_remarks


def print_ranking(console: Console, diagnosis: Diagnosis, *, has_report: bool = False) -> None:
    """Header, verdict, suspects with their repairs, sequence of repairs, scheme changes, commands.

    Args:
        has_report: a report is written as well, which has what is left out here.
    """
    ranking, reading = diagnosis.ranking, read(diagnosis)
    console.print(header_grid(*_header(reading)))
    console.print()
    if reading.again is not None:
        _print_proposal(console, reading.again)
        console.print()
    console.print(Text(reading.headline, style="bold"))
    if reading.suspects:
        console.print()
        rows = [row for suspect in reading.suspects for row in suspect_rows(suspect, has_report=has_report)]
        name = Column("suspects and their repairs,\neach made alone", suspect_name, wraps=True)
        elsewhere = "the report" if has_report else "--json"
        table = fit_table(console, name, suspect_columns(ranking), rows, elsewhere=elsewhere)
        console.print(table)
        reasons, where = list(trial_remarks(ranking)), lost_most_words(ranking.before)
        if where and any("SQNR" in header for header in table.headers):
            reasons.append(f"The SQNR that is recovered is that{where}, which had lost most.")
        if reasons:
            console.print()
        for reason in reasons:
            console.print(Text(reason, style="dim"))
    if reading.sequence.steps:
        console.print()
        console.print(header_grid(*_sequence(reading)))
    elif reading.sequence.parts:
        console.print()
        for sentence in reading.sequence.parts:
            console.print(Text(sentence))
    _print_rest(console, reading)


def _header(reading: Reading) -> Iterator[tuple[str, Text]]:
    measurement = reading.diagnosis.measurement
    yield from model_lines(measurement.model)
    yield "scheme", Text(measurement.scheme.name, style="bold")
    yield from file_lines(measurement.deployed)
    yield from size_lines(measurement.size)
    yield from data_lines(measurement.data, use=data_use(measurement))
    yield from preprocessing_lines(measurement)
    yield from capture_lines(measurement.capture)
    yield from float_lines(measurement)
    task = measurement.task
    if task.choice.kind != "classify" or task.choice.reason == "metric":
        for word, figure in zip(("task", *[""] * len(task.figures)), task.figures, strict=False):
            yield word, figure_text(figure)
    yield from judged_lines(task)
    if reading.effort:
        yield "repairs", Text(reading.effort)
    for note in reading.notes:
        yield "note", Text(note)


def _sequence(reading: Reading) -> Iterator[tuple[str, Text]]:
    rows = reading.sequence
    yield SEQUENCE_TITLE.lower(), Text(f"{AS_IT_IS}: {rows.before}")
    for i, row in enumerate(rows.steps, 1):
        yield "", Text(f"{i}. {row.suspect} → {row.repair}: {row.afterwards}, recovers {row.recovers.words}")
    for sentence in (rows.remainder_sentence, reading.repaired_layers, *rows.parts):
        if sentence:
            yield "", Text(sentence)


def _print_rest(console: Console, reading: Reading) -> None:
    diagnosis, task = reading.diagnosis, reading.diagnosis.ranking.before.task
    if reading.changes:
        console.print()
        console.print(Text(CHANGES_TITLE.lower(), style="bold"))
        for row in reading.changes:
            console.print(Padding(Text(f"{row.title}, {row.tried.where}"), (0, 0, 0, 2)))
            console.print(Padding(Text(_change_words(row)), (0, 0, 0, 4)))
            if row.repaired_layers:
                console.print(Padding(Text(row.repaired_layers), (0, 0, 0, 4)))
    if reading.untried:
        console.print()
        console.print(Text(f"{UNTRIED_TITLE}:", style="bold"))
        for finding in reading.untried:
            console.print(Padding(Text(_finding_line(finding)), (0, 0, 0, 2)))
    if counts_no_answers(task):
        console.print()
        console.print(next_step(task))
    for proposal in reading.proposals:
        console.print()
        _print_proposal(console, proposal)
    print_file(console, diagnosis)
    print_trainings(console, reading)


def _change_words(row: ChangeRow) -> str:
    """What a change of scheme gives, and what it costs."""
    recovers = row.tried.recovers.words if row.tried.recovers is not None else ""
    return "; ".join((row.tried.afterwards, recovers_words(recovers), *row.costs))


def _finding_line(row: FindingRow) -> str:
    where = f" ({layers_named(row.layers)})" if row.layers else ""
    seen = f": {'; '.join(row.evidence)}" if row.evidence else ""
    return f"{row.code} {row.title}{where}{seen}"


def _print_proposal(console: Console, proposal: Proposal) -> None:
    print_commands(console, proposal.heading, proposal.commands)
    for sentence in proposal.remarks:
        console.print(Padding(Text(sentence), (0, 0, 0, 2)))
