"""A hand-made result of `qdiag qat`, no network behind it."""

import math
from dataclasses import replace

from qdiag.core.causes.refit import KeptSeparable, SeparableRefit
from qdiag.core.causes.repair import FloatChange
from qdiag.core.causes.training import EpochRecord, ModelTraining, TrainingRecord
from qdiag.core.measures.task import TaskResult
from tests.measurements import measurement


def training(*, has_gained: bool = True) -> ModelTraining:
    """Two epochs, of which the first is kept, or none."""
    before = measurement()
    task = before.task
    epochs = (
        EpochRecord(0, 0, 1e-3, False, math.nan, 0.75, 0.14, task, 2.0),
        EpochRecord(1, 40, 5e-4, True, 0.4, 0.2 if has_gained else 0.8, 0.14, _lifted(task), 61.0),
        EpochRecord(2, 80, 0.0, True, 0.3, 0.9, 0.14, task, 64.5),
    )
    record = TrainingRecord("cross-entropy", epochs, int(has_gained), 1280, 32, ("conv.weight", "fc.bias"), ("conv",))
    made = ModelTraining(before.model, record, before, notes=("a note",))
    if not has_gained:
        return made
    after = replace(before, task=_lifted(task))
    change = FloatChange(before.outputs, task, 0.25)
    written = {"written_to": "trained.pt2", "scheme_written_to": "trained.scheme.toml"}
    return replace(made, after=after, float_change=change, **written)


def refitted(*, has_gained: bool = True) -> ModelTraining:
    """The same after two separable convolutions were rewritten, and two were not."""
    found = training(has_gained=has_gained)
    change = FloatChange(found.before.outputs, found.before.task, 0.5)
    kept = (KeptSeparable("blocks.2.dw", "something else reads it"), KeptSeparable("blocks.3.dw"))
    record = SeparableRefit("c", ("blocks.0.dw", "blocks.1.dw"), kept, 1, found.before, change)
    return replace(found, refit=record)


def _lifted(task: TaskResult) -> TaskResult:
    """With a better figure."""
    first, *others = task.figures
    return replace(task, figures=(replace(first, simulated=first.reference), *others))
