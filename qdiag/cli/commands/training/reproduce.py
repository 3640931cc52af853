"""`qdiag reproduce`: a small version of a published experiment, beside what was published."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qdiag.cli.console import remark, stdout_console
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import JsonOption
from qdiag.cli.options.expand import expand
from qdiag.cli.options.panels import data_option, output_option
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.roles import Reads, Writes, data_files, reproduction_files
from qdiag.cli.options.training import training_option
from qdiag.cli.run import RunOptions, running
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.errors import ConfigError
from qdiag.loaders.missing import check_data

if TYPE_CHECKING:
    from qdiag.reproduce.images import ImageSet

REPRODUCE_EPILOG = """
[bold]Examples[/]

On the digits that come with qdiag:  [cyan]qdiag reproduce qat -o reports/papers/qat[/]

On images of your own, within 8 minutes:
[cyan]qdiag reproduce bnn --data cifar10.npz --minutes 8 -o bnn/[/]

[bold]Exit codes[/]

0 The experiment was run, whatever the result;  2 The usage is wrong, or the data cannot be used;  130 The command
was interrupted: the same command goes on with the next seed.
"""

ExperimentName = Literal["bnn", "mobilenet", "qat", "repvgg"]
"""Keys of `qdiag.reproduce.experiments.EXPERIMENTS`, which cannot be asked here: it needs torch."""

_MINUTES = 18.0
"""For data of the user's, unless told otherwise."""

ExperimentArgument = Annotated[
    ExperimentName,
    typer.Argument(metavar="NAME", show_default=False, help="The experiment: bnn, mobilenet, qat or repvgg."),
]
ImagesOption = Annotated[
    str | None,
    data_option(
        "--data",
        metavar="PATH",
        show_default="the digits of the package",
        help="Train and measure on labelled images in a folder, .npz, .npy, .pt, .safetensors or ./file.py:factory.",
    ),
    Reads(data_files, check_data),
]
ImagesAtMostOption = Annotated[
    int, data_option("--samples", metavar="N", min=20, help="Use at most N images, for training and measurement.")
]
SmallerOption = Annotated[
    int | None,
    data_option(
        "--resize",
        metavar="PIXELS",
        min=8,
        help="Resize images so that the shorter side has this many pixels. Fewer take less time.",
    ),
]
SeedsOption = Annotated[
    int,
    training_option(
        "--seeds", metavar="N", min=1, help="Repeat the experiment this many times, with the images divided anew."
    ),
]
EpochsOption = Annotated[
    int | None,
    training_option(
        "--epochs",
        metavar="N",
        min=1,
        show_default="fixed for the digits; what --minutes allow",
        help="Train the float network for this many epochs. Other trainings have a share of them.",
    ),
]
MinutesOption = Annotated[
    float | None,
    training_option(
        "--minutes",
        metavar="X",
        min=0.0,
        show_default="18 with --data and without --epochs",
        help="Choose the epochs so that all seeds together take about this many minutes.",
    ),
]
WidthOption = Annotated[
    float,
    training_option("--width", metavar="X", min=0.0, help="Multiply the channels of all networks by this factor."),
]
ReportOption = Annotated[
    Path | None,
    output_option(
        "--out", "-o", metavar="DIR", help="Write report.html, report.md, result.json and plots/ into this folder."
    ),
    Writes(reproduction_files),
]


@partial(expand, without=())
def reproduce(
    name: ExperimentArgument,
    data: ImagesOption = None,
    samples: ImagesAtMostOption = 12_000,
    resize: SmallerOption = None,
    seeds: SeedsOption = 3,
    epochs: EpochsOption = None,
    minutes: MinutesOption = None,
    width: WidthOption = 1.0,
    out: ReportOption = None,
    json: JsonOption = None,
    *,
    run: RunOptions,
) -> None:
    """Repeat a published experiment on a small scale.

    Small networks are trained, quantized and measured, seed by seed, and the tables show means and
    spreads beside the published figures, what was expected, and whether it was confirmed.

    For each seed the images are divided anew: some are trained on, some choose the best epoch, and others
    are measured. A published network, which takes days, is never repeated: small networks on small images
    show whether the effect is there.

    With the same epochs the same seeds give the same numbers on the same machine. Where --minutes decide
    about the epochs, the report names the command that gives the same numbers again.
    """
    stdout_is_taken = check_single_stdout(json, None)
    with running(run) as session:
        from qdiag.reproduce.experiments import EXPERIMENTS
        from qdiag.reproduce.run import RunRequest, run_experiment

        with session.untimed_stage("open the data"):
            images = _images(data, samples, resize)
        if data is not None and epochs is None and minutes is None:
            minutes = _MINUTES
        request = RunRequest(seeds, epochs, minutes, width)
        result = run_experiment(session, EXPERIMENTS[name], images, request)
        write_result(json, result)
        if out is not None:
            from qdiag.writers.reproduction_dir import write_reproduction

            with session.untimed_stage("report"):
                write_reproduction(result, out)
    if not stdout_is_taken:
        from qdiag.cli.tables.training.reproduce import print_reproduction

        print_reproduction(stdout_console(), result)
    if out is not None:
        remark(
            f"The report is in {out}/report.html and report.md, the figures in result.json and plots beside them.",
            quiet=run.quiet,
        )
    tell_times(session.progress, quiet=run.quiet)


def _images(data: str | None, at_most: int, resize: int | None) -> "ImageSet":
    """The images that are asked for.

    Raises:
        DataError: they cannot be used. ConfigError: the digits are to be of another size.
    """
    from qdiag.reproduce.read_images import digits, images_of

    if data is not None:
        return images_of(data, at_most, resize)
    if resize is not None:
        raise ConfigError("--resize needs --data", hint="the digits of the package have 16 x 16 pixels")
    return digits()
