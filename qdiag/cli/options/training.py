"""The options that only `qdiag qat` has."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qdiag.cli.options.data import CALIB_SHARE, DataOptions
from qdiag.cli.options.panels import output_option
from qdiag.cli.options.roles import Reads, Writes, data_files, trained_files
from qdiag.cli.process import launched_count
from qdiag.core.causes.refit import RefitVariant
from qdiag.errors import ConfigError
from qdiag.loaders.missing import check_data

if TYPE_CHECKING:
    from qdiag.train.settings import TrainingSettings

training_option = partial(typer.Option, rich_help_panel="Training")

TrainedOption = Annotated[
    Path | None,
    output_option(
        "--out",
        "-o",
        metavar="TRAINED",
        help="Write the trained model to this file, in the format of MODEL. Its scheme stands beside it, as "
        "TRAINED.scheme.toml without the suffix of the model.",
    ),
    Writes(trained_files),
]
ReplaceOption = Annotated[bool, output_option("--force", help="Replace TRAINED and its scheme if they are there.")]
MovingLayersOption = Annotated[
    list[str] | None,
    training_option("--layers", metavar="GLOB", help="Train only layers of these names. The option can be repeated."),
]
RefitOption = Annotated[
    RefitVariant | None,
    training_option(
        "--refit-separable",
        help="First rewrite separable convolutions as in arXiv 1803.08607. With b, the BatchNorm behind each "
        "depthwise convolution is folded and the clamp there removed; with c, ReLU also replaces ReLU6 "
        "elsewhere. TRAINED is a .pt2 file then.",
    ),
]
RefitBlocksOption = Annotated[
    list[str] | None,
    training_option(
        "--refit-blocks",
        metavar="GLOB",
        help="Rewrite only behind depthwise convolutions of these names. The option can be repeated.",
    ),
]
LossOption = Annotated[
    str | None,
    training_option(
        "--loss",
        metavar="./FILE.py:FN",
        help="Train with a loss of your own, fn(outputs, targets). Unless given, the task decides about the "
        "loss, and without labels the float network.",
    ),
    Reads(),
]


@dataclass(frozen=True)
class TrainingOptions:
    """The panel `Training`."""

    epochs: Annotated[
        int, training_option(min=1, metavar="N", help="Train for this many passes over the training samples.")
    ] = 10
    train_batch: Annotated[int, training_option(min=1, metavar="N", help="Take this many samples for one update.")] = 32
    optimizer: Annotated[
        Literal["sgd", "adam", "shift_adamax"],
        training_option(
            help="Train with this optimizer. shift_adamax is AdaMax with shifts, made for binarized networks."
        ),
    ] = "sgd"
    learning_rate: Annotated[float, training_option(metavar="X", help="Begin with this learning rate.")] = 1e-3
    decay: Annotated[
        Literal["none", "cosine"], training_option(help="Let the learning rate fall along this curve.")
    ] = "cosine"
    momentum: Annotated[float, training_option(metavar="X", min=0.0, help="Set the momentum of sgd.")] = 0.9
    weight_decay: Annotated[
        float, training_option(metavar="X", min=0.0, help="Set the weight decay; it acts on weights alone.")
    ] = 0.0
    ranges: Annotated[
        Literal["moving_average", "learned"],
        training_option(help="Follow the values of each batch, or learn the step of each quantizer by gradient."),
    ] = "moving_average"
    averaging_constant: Annotated[
        float, training_option(metavar="X", min=0.0, help="Give a new batch this weight in a moving average.")
    ] = 0.01
    quant_delay: Annotated[
        int, training_option(min=0, metavar="N", help="Make this many updates in float before anything is quantized.")
    ] = 0
    freeze_bn_after: Annotated[
        int | None,
        training_option(
            min=0,
            metavar="N",
            help="Let BatchNorms use their running statistics after this many epochs. Unless set, they always use"
            " the statistics of each batch.",
        ),
    ] = None
    distill: Annotated[
        bool,
        training_option(
            "--distill", help="Train towards the outputs of the float network, even where there are labels."
        ),
    ] = False

    @property
    def settings(self) -> "TrainingSettings":
        """As the library has them.

        Raises:
            ConfigError: one is out of bounds.
        """
        from qdiag.train.settings import TrainingSettings

        return TrainingSettings(
            epochs=self.epochs,
            batch_size=self.train_batch,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            decay=self.decay,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            ranges=self.ranges,
            averaging_constant=self.averaging_constant,
            quant_delay=self.quant_delay,
            freeze_bn_after=self.freeze_bn_after,
            distill=self.distill,
        )


@dataclass(frozen=True)
class RankedTrainingOptions:
    """Whether a diagnosis may train, where repairs without training leave something."""

    train: Annotated[
        float | None,
        training_option(
            metavar="MINUTES",
            min=0.01,
            help="Also train with the quantizers in place for about this many minutes, where the other repairs "
            "leave a loss. Separable convolutions at which something was found are also rewritten and "
            "trained (qdiag qat --refit-separable b).",
        ),
    ] = None
    train_data: Annotated[
        str | None,
        training_option(
            metavar="PATH",
            help="Train on these samples instead of those that calibrate. None of them may be in --data.",
        ),
        Reads(data_files, check_data),
    ] = None
    train_layers: Annotated[
        list[str] | None,
        training_option(
            "--train-layers", metavar="GLOB", help="Train only layers of these names. The option can be repeated."
        ),
    ] = None

    def check(self, data: DataOptions) -> None:
        """What can be told before anything is read.

        Raises:
            ConfigError: samples to train on without leave to train, those that are measured, or none to measure.
        """
        if self.train is not None and launched_count() > 1:
            raise ConfigError(
                "--train trains in one process",
                hint="start it without torchrun, or train with torchrun -m qdiag qat",
            )
        if self.train is not None and data.data is None:
            raise ConfigError("--train needs --data", hint="drawn inputs are no samples to train on")
        if self.train is None and self.train_layers:
            raise ConfigError("--train-layers needs --train", hint="say how many minutes training may take")
        if self.train_data is None:
            return
        if self.train is None:
            raise ConfigError("--train-data needs --train", hint="say how many minutes training may take")
        if data.data is not None and Path(self.train_data).resolve() == Path(data.data).resolve():
            raise ConfigError("--train-data is what --data is", hint="train on other samples than those measured")

    def words(self, data: DataOptions) -> tuple[str, ...]:
        """Of a command line of qdiag qat that trains the same layers on the same samples, and measures the same."""
        layers = tuple(word for pattern in self.train_layers or () for word in ("--layers", pattern))
        if self.train_data is not None:
            return ("--train-data", self.train_data, *layers)
        if data.calib_data is not None:
            return ("--train-data", data.calib_data, "--train-samples", str(data.calib_samples), *layers)
        return ("--train-share", f"{CALIB_SHARE:g}", "--train-samples", str(data.calib_samples), *layers)
