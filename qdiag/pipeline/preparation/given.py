"""What a caller of the Python functions gives, as the rooms take it."""

from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from qdiag.batches import Datasets
from qdiag.config import load_scheme
from qdiag.core.listed import count_noun
from qdiag.core.measures.measurement import SAME_SAMPLES
from qdiag.core.measures.task import TaskKind
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError, LoadError
from qdiag.loaders.data.objects import samples_of
from qdiag.loaders.data.sources import DataRequest, batches_from, open_datasets
from qdiag.loaders.data.split import NONE_TO_CALIBRATE, RangeUse, SplitWishes, split_apart, split_one
from qdiag.loaders.images.preprocessing import preset as preprocessing_of
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.models.values import check_finite
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.simulate.task.user import MetricRequest
from qdiag.subject import Subject

Model = nn.Module | ExportedProgram | Subject | str | Path
Data = object
"""See `qdiag.measure`: Python objects, or a path in any form that `--data` takes."""

TRAINED_SHARE = 0.8
"""Of one set that is divided, the part that is trained on."""
_ALL = 1 << 62


def request_of(task: TaskKind | None, output: str | None, metric: object | None) -> TaskRequest:
    """What is said about the task."""
    given = metric if metric is None or isinstance(metric, MetricRequest) else MetricRequest(metric)
    return TaskRequest(task, output, given)


def scheme_of(scheme: QuantScheme | str) -> QuantScheme:
    """A scheme, by its name or by its file.

    Raises:
        ConfigError: see `load_scheme`.
    """
    return load_scheme(scheme) if isinstance(scheme, str) else scheme


def subject_of(
    model: Model, *, arch: str | None = None, trust: bool = False, kept: frozenset[str] = frozenset()
) -> Subject:
    """A model as if it had been read; a path is read.

    Args:
        arch, trust, kept: of a path, see `load_subject`.

    Raises:
        LoadError: weights that are not finite, or not float32, a file that cannot be read, or no model at all.
        ConfigError: `arch` or `trust` beside a model that is no path.
    """
    if isinstance(model, str | Path):
        return load_subject(model, arch=arch, trust=trust, kept=kept)
    if arch is not None or trust:
        raise ConfigError("`arch` and `trust` are for models that are read", hint="leave them out, or give a path")
    if isinstance(model, Subject):
        return model
    name = type(model).__name__
    if not isinstance(model, nn.Module | ExportedProgram):
        raise LoadError(
            f"a value of type {name} is not a model",
            hint="give an nn.Module, an ExportedProgram, or the path of a file",
        )
    subject = Subject(model, "exported_program" if isinstance(model, ExportedProgram) else "module", name, name)
    check_finite(subject)
    _check_precision(model)
    return subject


def _check_precision(model: nn.Module | ExportedProgram) -> None:
    """The reference is float32: a coarser one would be compared with noise of its own."""
    state = model.state_dict if isinstance(model, ExportedProgram) else model.state_dict()
    coarse = {t.dtype for t in state.values() if t.is_floating_point()} - {torch.float32}
    if coarse:
        raise LoadError(
            f"the model holds {', '.join(sorted(str(d).removeprefix('torch.') for d in coarse))} tensors",
            at=type(model).__name__,
            hint="measure a float32 copy: copy.deepcopy(model).float()",
        )


def datasets_of(
    batches: Data, calibration: Data | None, preset: str | None = None, ranges: RangeUse = "all"
) -> Datasets:
    """What is measured, and what calibrates.

    A path is divided as the command line divides it; of an object all samples are measured, and calibrate too where
    nothing is given for that.

    Args:
        preset: how pixels are prepared; see `qdiag.loaders.images.preprocessing.preset`.
        ranges: what takes ranges from samples, see `SplitWishes`.

    Raises:
        DataError: see `batches_from` and `open_datasets`.
        ConfigError: a path beside an object, or a preset for an object.
    """
    if isinstance(batches, str | Path):
        if calibration is not None and not isinstance(calibration, str | Path):
            raise ConfigError(
                "the data are a path, and the calibration is not", hint="give both as paths, or both as objects"
            )
        apart = str(calibration) if calibration is not None else None
        chosen = preprocessing_of(preset) if preset is not None else None
        return open_datasets(DataRequest(str(batches), calib_data=apart, preprocessing=chosen, ranges=ranges))
    if isinstance(calibration, str | Path):
        raise ConfigError(
            "the calibration is a path, and the data are not", hint="give both as paths, or both as objects"
        )
    if preset is not None:
        raise ConfigError("`preset` is for data that are read from a path", hint="prepare the tensors, or give a path")
    measured = batches_from(batches)
    count = measured.sample_count
    if ranges == "none":
        words = f"all {count_noun(count, 'sample')} measured, {NONE_TO_CALIBRATE}"
        return Datasets(measured, measured, words, calibrates=False)
    if calibration is None:
        return Datasets(measured, measured, SAME_SAMPLES.format(count=count))
    other = batches_from(calibration, source="calibration")
    calibrate = "sample calibrates" if other.sample_count == 1 else "samples calibrate"
    are = "is" if count == 1 else "are"
    return Datasets(other, measured, f"{other.sample_count} {calibrate}, {count} {are} measured")


def training_datasets_of(batches: object, training: object | None, seed: int) -> Datasets:
    """What is measured, and what is trained on: a part of one set where nothing is given for that.

    Raises:
        DataError: see `batches_from`.
    """
    wishes = SplitWishes(calib_samples=_ALL, calib_share=TRAINED_SHARE, seed=seed, trains=True)
    measured = samples_of(batches)
    if training is None:
        return split_one(measured, wishes)
    trained = samples_of(training, "training")
    return split_apart(measured, trained, "training data given apart", wishes, same=training is batches)
