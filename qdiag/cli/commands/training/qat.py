"""`qdiag qat`: train the network with its quantizers in place, and show what that did."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import typer

from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, open_data, open_subject
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import JsonOption
from qdiag.cli.options.data import TrainingDataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.roles import scheme_beside, state_beside
from qdiag.cli.options.scheme import PARTS, SchemeOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.options.training import (
    LossOption,
    MovingLayersOption,
    RefitBlocksOption,
    RefitOption,
    ReplaceOption,
    TrainedOption,
    TrainingOptions,
)
from qdiag.cli.repaired_file import check_float, save_repaired, target_of
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.training.qat import print_training
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.errors import ConfigError
from qdiag.files.atomic import check_writable, write_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from qdiag.core.causes.refit import RefitVariant

QAT_EPILOG = """
[bold]Examples[/]

Train for 4-bit weights:  [cyan]qdiag qat net.pt2 --train-data train/ --data val/ --scheme w4a8 -o out.pt2[/]

Measure the trained network:  [cyan]qdiag sqnr out.pt2 --data val/ --scheme out.scheme.toml[/]

Remove what stands between depthwise and pointwise convolutions, then train:
[cyan]qdiag qat net.pt2 --refit-separable b --train-data train/ --data val/ -o out.pt2[/]

[bold]Exit codes[/]

0 The trained model was written;  1 No epoch was better than the network as it was read, so that nothing was
written;  2 The usage is wrong, the model or the data cannot be judged, the training diverged, or no file could
be written;  130 The command was interrupted.
"""


@partial(expand, without=(*PARTS, "arithmetic"))
def qat(
    model: ModelOptions,
    training: TrainingOptions,
    data: TrainingDataOptions,
    scheme: SchemeOptions,
    task: TaskOptions,
    output: TrainedOption = None,
    force: ReplaceOption = False,
    layers: MovingLayersOption = None,
    loss: LossOption = None,
    refit_separable: RefitOption = None,
    refit_blocks: RefitBlocksOption = None,
    json: JsonOption = None,
    *,
    run: RunOptions,
) -> None:
    """Train the network with its quantizers in place, and measure it.

    The trained model is a float checkpoint in the format of MODEL, with the scheme and the ranges that
    belong to it. Float and quantized network are measured before and after, on other samples.

    Quantizers stand exactly where qdiag sqnr has them. In the forward pass they round; in the backward
    pass rounding counts as the identity inside the range. BatchNorm is folded while it is trained, so
    that the weight that is quantized is the one that the integer network will have.

    Labels decide about the loss: cross-entropy for classes, the mean squared error for numbers. Without
    labels the network is trained towards the outputs of the float network.

    It trains on --train-data, or on four fifths of --data, and sets a tenth of that apart: the epoch that
    is best there is kept. Other commands divide one set otherwise, and would measure samples that were
    trained on: give training data of its own to compare with them.

    Under the scheme that is written, the simulator computes what the training computed, bit for bit.

    A training that was stopped goes on with its next epoch when the same command is given again. Several
    processes divide each batch: torchrun --nproc-per-node 2 -m qdiag qat MODEL ...
    """
    stdout_is_taken = check_single_stdout(json, None)
    if data.data is None:
        raise ConfigError(
            "no --data: inputs that are drawn are no samples to train on",
            at="--data",
            hint="give samples of what the network is for: --data PATH, and --train-data PATH if they stand apart",
        )
    target = target_of(model.model, output, in_place=False, or_else="")
    check_float(model.model)
    _check_refit(model, target, refit_separable, refit_blocks)
    scheme_target, state = scheme_beside(target), state_beside(target)
    check_writable(scheme_target)
    resolved, settings = scheme.resolved, training.settings
    from qdiag.config.scheme_text import scheme_toml
    from qdiag.pipeline.training.qat import QatOptions, train_model
    from qdiag.pipeline.training.refit_separable import refit_subject
    from qdiag.savers.save import check_target
    from qdiag.train.processes import joined

    check_target(model.model, target, force=force)
    check_target(model.model, scheme_target, force=force)
    with running(run, seed=data.seed) as session, joined(session.device) as processes:
        subject, record, begun, own_loss = open_subject(model), None, None, _loss(loss)
        datasets = open_data(data, model, subject, session)
        if refit_separable is not None:
            blocks = tuple(refit_blocks or ())
            refit = refit_subject(session, subject, datasets, resolved, refit_separable, blocks, task.request)
            subject, record, begun = refit.subject, refit.record, refit.experiment
        options = QatOptions(settings, tuple(layers or ()), own_loss, state, processes)
        trained = train_model(session, subject, datasets, resolved, options, task.request, begun=begun)
        if trained is not None:
            result = replace(trained.result, refit=record)
            if trained.changes:
                save_repaired(
                    subject, trained.changes, target, model.submodule, trust=model.trust, force=force, in_place=False
                )
                comment = f"Trained by qdiag qat: the ranges that belong to {target.name}."
                write_file(scheme_target, scheme_toml(trained.scheme, comment))
                result = replace(result, written_to=str(target), scheme_written_to=str(scheme_target))
            if trained.state is not None:
                trained.state.remove()
    if trained is None:  # the first process writes and prints
        raise typer.Exit
    write_result(json, result)
    if not stdout_is_taken:
        print_training(stdout_console(), result)
    tell_times(session.progress, quiet=run.quiet)
    raise typer.Exit(result.exit_code)


def _check_refit(model: ModelOptions, target: "Path", variant: "RefitVariant | None", blocks: list[str] | None) -> None:
    """What would stop the rewriting is found before the run.

    Raises:
        ConfigError: a format that cannot hold a rewritten network, a part of one, or blocks without a variant.
    """
    if variant is None:
        if blocks:
            raise ConfigError(
                "it needs --refit-separable", at="--refit-blocks", hint="say which variant: --refit-separable b or c"
            )
        return
    if target.suffix != ".pt2":
        raise ConfigError(
            f"{target.name} would be read with code that builds the network as it was before --refit-separable",
            at="-o",
            hint="end the name in .pt2: a program holds the rewritten network as well as its weights",
        )
    if model.submodule is not None:
        raise ConfigError("a part of a network is not rewritten", at="--submodule", hint="give the whole network")


def _loss(reference: str | None) -> "Callable[..., Any] | None":
    """The user's own loss.

    Raises:
        LoadError: it cannot be read. ConfigError: it is no function.
    """
    if reference is None:
        return None
    from qdiag.loaders.python_ref import load_object

    found = load_object(reference)
    if not callable(found):
        raise ConfigError(f"{reference} is no function", at="--loss", hint="give fn(outputs, targets)")
    return found
