"""What a diagnosis may train, from the options that say so."""

from dataclasses import replace
from typing import TYPE_CHECKING

from qdiag.cli.inputs import ModelOptions, open_data
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.options.training import RankedTrainingOptions
from qdiag.errors import ConfigError

if TYPE_CHECKING:
    from qdiag.pipeline.begin import Experiment
    from qdiag.pipeline.training.ranked import RankedTraining
    from qdiag.simulate.session import Session

_ALL_SAMPLES = 1_000_000


def open_ranked_training(
    session: "Session",
    experiment: "Experiment",
    options: RankedTrainingOptions,
    model: ModelOptions,
    data: DataOptions,
    task: TaskOptions,
) -> "RankedTraining | None":
    """What a diagnosis may train; None where that was not asked for.

    Raises:
        DataError: data that cannot be used. ConfigError: a pattern of layers that fits none.
    """
    if options.train is None:
        return None
    from qdiag.pipeline.training.ranked import RankedTraining
    from qdiag.train.moving import moving_names
    from qdiag.train.network.parameters import parameter_names

    layers, samples = tuple(options.train_layers or ()), None
    try:
        moving_names(experiment.case, parameter_names(experiment.subject), layers)
    except ConfigError as error:
        error.at = "--train-layers"
        raise
    if options.train_data is not None:
        apart = replace(data, calib_data=options.train_data, calib_samples=_ALL_SAMPLES)
        samples = open_data(apart, model, experiment.subject, session).calibration
    return RankedTraining(options.train, samples, task.request, layers=layers, words=options.words(data))
