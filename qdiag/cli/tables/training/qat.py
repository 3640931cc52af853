"""What `qdiag qat` prints: the proof above, one row per epoch below."""

import math

from rich.console import Console
from rich.text import Text

from qdiag.cli.console import print_flowing
from qdiag.cli.tables.change_lines import quantized_lines
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import Lines, data_lines, header_grid, model_lines, size_lines
from qdiag.cli.tables.training.refit import refit_figures, refit_lines
from qdiag.core.causes.training import EpochRecord, ModelTraining
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.task.figures import from_to, value_words
from qdiag.reading.words.trials.training import minutes_words

_UNTRAINED = "the row is the network before the training"
_UNMEASURED = "it was not measured"


def print_training(console: Console, training: ModelTraining) -> None:
    """Header, table and what was written on `console`."""
    record = training.training
    console.print(header_grid(*model_lines(training.model), *_lines(training)))
    console.print()
    console.print(
        fit_table(console, Column("epoch", lambda row: Text(str(row.epoch))), _columns(record.best), record.epochs)
    )
    console.print()
    print_flowing(console, Text(_last_line(training)))


def _lines(training: ModelTraining) -> Lines:
    record = training.training
    for note in training.notes:
        yield "note", Text(note)
    yield from size_lines(training.before.size)
    yield from data_lines(training.before.data, use="to train on")
    samples = f"{record.sample_count:,} samples in batches of {record.batch_size}"
    several = f" by {record.process_count} processes" if record.process_count > 1 else ""
    resumed = ", continued after a stop" if record.is_resumed else ""
    yield "training", Text(f"{record.loss} on {samples}{several}, {minutes_words(record.seconds)}{resumed}")
    if record.layers:
        yield "", Text(f"only {', '.join(record.layers)} may move")
    if training.refit is not None:
        yield from refit_lines(training.refit)
    if training.after is not None:
        yield "", Text(f"{count_noun(len(record.moved), 'tensor')} changed, epoch {record.best} is kept")
    if training.refit is not None:
        yield from refit_figures(training, training.refit)
        return
    if training.after is None or training.float_change is None:
        return
    for figure in training.float_change.task.figures[:1]:
        yield "float", Text(f"{figure.criterion.name} {from_to(figure)}")
    yield from quantized_lines(training.before, training.after, training.float_change)


def _columns(best: int) -> list[Column[EpochRecord]]:
    return [
        Column("", lambda row: Text("kept" if row.epoch == best else "", style="green"), 100, is_left=True),
        Column("training\nloss", lambda row: _number(row.training_loss), 80, dash=_UNTRAINED),
        Column("loss", lambda row: _number(row.loss), 90, dash=_UNMEASURED),
        Column("of float", lambda row: _number(row.float_loss), 60, dash=_UNMEASURED),
        Column("quantized", lambda row: _figure(row), 100, dash=_UNMEASURED),
        Column("float", lambda row: _figure(row, is_float=True), 70, dash=_UNMEASURED),
        Column(
            "learning\nrate", lambda row: Text(f"{row.learning_rate:.1e}" if row.epoch else "-"), 40, dash=_UNTRAINED
        ),
        Column("time", lambda row: Text(f"{row.seconds:.1f} s"), 50),
    ]


def _number(value: float) -> Text:
    return Text("-" if math.isnan(value) else f"{value:.4g}")


def _figure(row: EpochRecord, *, is_float: bool = False) -> Text:
    """Of the criterion that judges, with its name."""
    judged = row.task.judged
    if judged is None:
        return Text("-")
    value = judged.reference if is_float else judged.simulated
    return Text(f"{judged.criterion.name} {value_words(judged.criterion, value)}")


def _last_line(training: ModelTraining) -> str:
    if training.after is None:
        if training.refit is not None:
            return "No epoch was better than the rewritten network before training, so nothing is written."
        return "No epoch was better than the network as it was read, so nothing is written."
    if training.written_to is None:
        return "The trained network is not written."
    return f"The trained network is written to {training.written_to}, for the scheme in {training.scheme_written_to}."
