"""`qdiag.qat`: the same from Python as `qdiag qat` does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn
from torch.export import ExportedProgram

from qdiag.core.causes.training import ModelTraining
from qdiag.core.measures.task import TaskKind
from qdiag.core.progress import Progress
from qdiag.core.scheme import QuantScheme
from qdiag.pipeline.preparation.given import Model, request_of, scheme_of, subject_of, training_datasets_of
from qdiag.pipeline.training.qat import QatOptions, train_model
from qdiag.repairs.overlay import with_changes
from qdiag.simulate.session import open_session
from qdiag.train.settings import TrainingSettings


@dataclass(frozen=True)
class TrainedNetwork:
    """What `qdiag.qat` returns.

    Attributes:
        result: the training by epochs, and the quantized network before and after it.
        model: the float network with its new weights, a copy; of a network that training did not make better, a copy
            as it was.
        scheme: with the ranges that belong to it: `measure(model, batches, scheme=scheme)` gives `result.after` again.
    """

    result: ModelTraining
    model: nn.Module | ExportedProgram
    scheme: QuantScheme


def qat(
    model: Model,
    batches: object,
    *,
    training: object | None = None,
    scheme: QuantScheme | str = "int8",
    settings: TrainingSettings | None = None,
    layers: Sequence[str] = (),
    loss: Callable[..., Any] | None = None,
    state: str | PathLike[str] | None = None,
    device: str = "cpu",
    task: TaskKind | None = None,
    output: str | None = None,
    metric: object | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> TrainedNetwork:
    """A network trained with its quantizers in place: what `qdiag qat` prints and writes (docs/qat.md).

    A tenth of the training samples is held out, and the epoch that is best on them is kept; where none is better than
    the network as it was, `result.after` is None. Samples that are measured have no part in that.

    Args:
        model, batches, scheme, device, task, output, metric: as in `measure`.
        training: what to train on, in the same forms as `batches`; without it, four fifths of `batches` are trained on,
            and the others are measured.
        settings: epochs, learning rate and the like.
        layers: glob patterns of the layers that may move; all when empty.
        loss: `function(outputs, targets)`, which returns one number or one for each sample; else the task decides.
        state: file in which the training is kept after each epoch, and from which the same call goes on after a stop;
            it is removed at the end.
        seed: of the order of the samples and of how they are divided.

    Raises:
        QdiagError: something cannot be used, or the training diverged; says what, where and what to do.
    """
    options = QatOptions(settings or TrainingSettings(), tuple(layers), loss, None if state is None else Path(state))
    request, resolved = request_of(task, output, metric), scheme_of(scheme)
    with open_session(device=device, progress=progress, seed=seed) as session:
        subject = subject_of(model)
        found = train_model(session, subject, training_datasets_of(batches, training, seed), resolved, options, request)
        assert found is not None, "one process is the first"
        trained = TrainedNetwork(found.result, with_changes(subject, found.changes).model, found.scheme)
    if found.state is not None:
        found.state.remove()
    return trained
