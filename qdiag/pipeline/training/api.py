"""`qdiag.qat`: the same from Python as `qdiag qat` does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn
from torch.export import ExportedProgram

from qdiag.core.causes.refit import RefitVariant
from qdiag.core.causes.training import ModelTraining
from qdiag.core.measures.task import TaskKind
from qdiag.core.progress import Progress
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.pipeline.preparation.given import Model, request_of, scheme_of, subject_of, training_datasets_of
from qdiag.pipeline.training.qat import QatOptions, train_model
from qdiag.pipeline.training.refit_separable import refit_subject
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
    refit: RefitVariant | None = None,
    refit_blocks: Sequence[str] = (),
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
        refit: first rewrite separable convolutions as in arXiv 1803.08607; `b`: fold the BatchNorm behind each
            depthwise convolution, and remove the clamp there; `c`: also have ReLU for ReLU6 elsewhere. The trained
            network is a program then.
        refit_blocks: glob patterns of the depthwise convolutions behind which it is done; all when empty.
        loss: `function(outputs, targets)`, which returns one number or one for each sample; else the task decides.
        state: file in which the training is kept after each epoch, and from which the same call goes on after a stop;
            it is removed at the end.
        seed: of the order of the samples and of how they are divided.

    Raises:
        QdiagError: something cannot be used, or the training diverged; says what, where and what to do.
    """
    if refit_blocks and refit is None:
        raise ConfigError("it needs `refit`", at="refit_blocks", hint='say which variant: refit="b" or refit="c"')
    options = QatOptions(settings or TrainingSettings(), tuple(layers), loss, None if state is None else Path(state))
    request, resolved = request_of(task, output, metric), scheme_of(scheme)
    with open_session(device=device, progress=progress, seed=seed) as session:
        subject, datasets = subject_of(model), training_datasets_of(batches, training, seed)
        record, begun = None, None
        if refit is not None:
            rewritten = refit_subject(session, subject, datasets, resolved, refit, refit_blocks, request)
            subject, record, begun = rewritten.subject, rewritten.record, rewritten.experiment
        found = train_model(session, subject, datasets, resolved, options, request, begun=begun)
        assert found is not None, "one process is the first"
        result, network = replace(found.result, refit=record), with_changes(subject, found.changes).model
        trained = TrainedNetwork(result, network, found.scheme)
    if found.state is not None:
        found.state.remove()
    return trained
