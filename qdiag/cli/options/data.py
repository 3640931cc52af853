"""The options of data that several commands share."""

from dataclasses import dataclass
from typing import Annotated, Literal

from qdiag.cli.options.panels import data_option, run_option
from qdiag.cli.options.parse import check_numbers
from qdiag.cli.options.roles import Reads, data_files, target_files
from qdiag.loaders.missing import check_data

ChannelOrder = Literal["rgb", "bgr"]
PreprocessingPreset = Literal["none", "imagenet", "imagenet-stats", "tf", "caffe", "cifar10"]
"""Names of `qdiag.loaders.images.preprocessing.PRESETS`, which cannot be asked here: it needs torch."""

CALIB_SHARE = 0.25
"""Of one set that is divided, what calibrates."""


@dataclass(frozen=True)
class DataOptions:
    """The panel `Data`, and how many of its samples run at once."""

    data: Annotated[
        str | None,
        data_option(
            metavar="PATH",
            help="Measure on a folder of images, .npz, .npy, .pt, .safetensors or ./file.py:factory. Without it, "
            "inputs are drawn to match the BatchNorm statistics of the network, and the result is marked "
            "data-free.",
        ),
        Reads(data_files, check_data),
    ] = None
    calib_data: Annotated[
        str | None,
        data_option(metavar="PATH", help="Calibrate on these samples instead of a part of --data."),
        Reads(data_files, check_data),
    ] = None
    targets: Annotated[
        str | None,
        data_option(
            "--targets",
            metavar="PATH",
            help="Judge the images of a folder by a folder of masks with the same names, or by a .json file with "
            "boxes.",
        ),
        Reads(target_files),
    ] = None
    arg: Annotated[
        list[str] | None,
        data_option(
            metavar="NAME=VALUE",
            help="Give an argument of forward that the data does not hold. It is the same for every batch, such "
            "as sr=16000, or state=zeros(2,N,128), where N is the batch size. The option can be repeated.",
        ),
    ] = None
    preset: Annotated[
        PreprocessingPreset | None, data_option(help="Preprocess images as the network was trained. tf is x/127.5 - 1.")
    ] = None
    resize: Annotated[
        int | None,
        data_option(metavar="PIXELS", min=1, help="Resize images so that the shorter side has this many pixels."),
    ] = None
    crop: Annotated[
        int | None,
        data_option(metavar="PIXELS", min=1, help="Crop images to a square of this many pixels, at the centre."),
    ] = None
    pixel_scale: Annotated[
        float | None,
        data_option(
            metavar="NUMBER",
            help="Multiply pixels 0 to 255 by this number, before anything else. It is 1/255 = 0.00392157 unless set.",
        ),
    ] = None
    mean: Annotated[
        str | None,
        data_option(
            metavar="NUMBERS",
            callback=check_numbers,
            help="Subtract this mean from the scaled pixels. It is one number for all channels or one per channel.",
        ),
    ] = None
    std: Annotated[
        str | None,
        data_option(
            metavar="NUMBERS",
            callback=check_numbers,
            help="Divide by this standard deviation, after the mean is subtracted.",
        ),
    ] = None
    channel_order: Annotated[ChannelOrder | None, data_option(help="Give the network its channels in this order.")] = (
        None
    )
    samples: Annotated[int | None, data_option(metavar="N", min=1, help="Measure on at most N samples.")] = None
    calib_samples: Annotated[int, data_option(metavar="N", min=1, help="Calibrate on at most N samples.")] = 128
    seed: Annotated[int, data_option(metavar="N", min=0, help="Make every random choice from this seed.")] = 0
    batch_size: Annotated[
        int, run_option(metavar="N", min=1, help="Run this many samples at once. The result is the same.")
    ] = 16

    @property
    def calib_share(self) -> float:
        """Of one set that is divided."""
        return CALIB_SHARE

    @property
    def trains(self) -> bool:
        """What calibrates is also trained on."""
        return False


@dataclass(frozen=True)
class TrainingDataOptions(DataOptions):
    """The same for a command that trains on what others calibrate on."""

    data: Annotated[
        str | None,
        data_option(
            metavar="PATH",
            help="Train and measure on a folder of images, .npz, .npy, .pt, .safetensors or ./file.py:factory. It"
            " is needed, since drawn inputs are no samples to train on.",
        ),
        Reads(data_files, check_data),
    ] = None
    calib_data: Annotated[
        str | None,
        data_option("--train-data", metavar="PATH", help="Train on these samples instead of a part of --data."),
        Reads(data_files, check_data),
    ] = None
    calib_samples: Annotated[
        int, data_option("--train-samples", metavar="N", min=1, help="Train on at most N samples.")
    ] = 1_000_000
    train_share: Annotated[
        float,
        data_option(
            "--train-share",
            metavar="X",
            min=0.01,
            max=0.99,
            help="Train on this share of --data, where --train-data is not given.",
        ),
    ] = 0.8

    @property
    def calib_share(self) -> float:
        """Of one set that is divided."""
        return self.train_share

    @property
    def trains(self) -> bool:
        """What calibrates is also trained on."""
        return True
