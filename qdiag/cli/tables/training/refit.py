"""What was rewritten before a training, and the figures of the network as read, rewritten and trained."""

import math
from itertools import groupby

from rich.text import Text

from qdiag.cli.tables.sqnr_header import Lines
from qdiag.core.causes.refit import SeparableRefit
from qdiag.core.causes.training import ModelTraining
from qdiag.core.measures.task import Criterion, TaskResult
from qdiag.reading.words.numbers import count_noun, with_unit
from qdiag.reading.words.task.figures import value_words


def refit_lines(refit: SeparableRefit) -> Lines:
    """The blocks that were rewritten, and why others were not."""
    count, what = len(refit.blocks), "without BatchNorm and clamp between their convolutions"
    yield "rewritten", Text(f"{count_noun(count, 'separable convolution')}, variant {refit.variant}: {what}")
    yield "", Text(f"behind {', '.join(refit.blocks)}")
    if refit.relu_count:
        yield "", Text(f"ReLU for ReLU6 in {count_noun(refit.relu_count, 'other place')}")
    kept = sorted(refit.kept, key=lambda one: one.reason or "")
    for reason, group in groupby(kept, key=lambda one: one.reason):
        names = ", ".join(one.block for one in group)
        yield "", Text(f"as they were: {names}: {reason or 'not asked for'}", style="yellow" if reason else "")
    moved = refit.float_change.relative_delta
    yield "", Text(f"this moves the float output by {moved:.1e} of its largest value before any training")


def refit_figures(training: ModelTraining, refit: SeparableRefit) -> Lines:
    """Float and quantized as read, rewritten and trained, by the figure that judges; without labels the SQNR."""
    measured = [refit.original, training.before, *([training.after] if training.after is not None else [])]
    judged = refit.original.task.judged
    if judged is None or judged.criterion.is_against_float:
        for outputs in zip(*(one.outputs for one in measured), strict=True):
            figures = _joined([with_unit(output.sqnr_db, "dB") for output in outputs])
            yield "quantized", Text(f"SQNR of {outputs[0].name} {figures}, each beside its own float network")
        return
    criterion = judged.criterion
    changes = [refit.float_change, *([training.float_change] if training.float_change is not None else [])]
    in_float = [judged.reference, *(_simulated(change.task, criterion) for change in changes)]
    quantized = [_simulated(one.task, criterion) for one in measured]
    yield "float", Text(f"{criterion.name} {_chain(criterion, in_float)}")
    yield "quantized", Text.assemble(f"{criterion.name} ", (_chain(criterion, quantized), "bold"))
    if training.after is not None and not _is_better(criterion, quantized[-1], quantized[0]):
        yield (
            "",
            Text(
                "the trained network, quantized, is no better than the quantized network as it was read",
                style="bold yellow",
            ),
        )


def _simulated(task: TaskResult, criterion: Criterion) -> float:
    figure = task.figure(criterion.name)
    return figure.simulated if figure is not None else math.nan


def _chain(criterion: Criterion, values: list[float]) -> str:
    return _joined([value_words(criterion, value) for value in values])


def _joined(figures: list[str]) -> str:
    stages = ("as read", "rewritten", "trained")
    return " → ".join(f"{figure} {stage}" for figure, stage in zip(figures, stages, strict=False))


def _is_better(criterion: Criterion, value: float, than: float) -> bool:
    return value > than if criterion.higher_is_better else value < than
