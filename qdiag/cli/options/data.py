"""The options of data that several commands share."""

from dataclasses import dataclass
from typing import Annotated

import typer

from qdiag.cli.options.choices import ChannelOrder, PreprocessingPreset
from qdiag.cli.options.common import DATA, RUN
from qdiag.cli.options.parse import check_numbers
from qdiag.cli.options.roles import Reads, data_files


@dataclass(frozen=True)
class DataOptions:
    """The panel `Data`, and how many of its samples run at once."""

    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Image folder, .npz, .npy, .pt, .safetensors, or ./file.py:factory. Without it, inputs are drawn to "
            "match the BatchNorm statistics of the network, and the result is marked data-free.",
            rich_help_panel=DATA,
        ),
        Reads(data_files),
    ] = None
    calib_data: Annotated[
        str | None,
        typer.Option(
            "--calib-data",
            metavar="PATH",
            help="Calibrate on these instead of a part of --data.",
            rich_help_panel=DATA,
        ),
        Reads(data_files),
    ] = None
    arg: Annotated[
        list[str] | None,
        typer.Option(
            "--arg",
            metavar="NAME=VALUE",
            help="An argument of forward that the data does not hold, the same for every batch: sr=16000, or "
            "state=zeros(2,N,128), where N is the batch size; can be repeated.",
            rich_help_panel=DATA,
        ),
    ] = None
    preset: Annotated[
        PreprocessingPreset | None,
        typer.Option("--preset", help="Preprocessing by name; tf is x/127.5 - 1.", rich_help_panel=DATA),
    ] = None
    resize: Annotated[
        int | None,
        typer.Option("--resize", metavar="PIXELS", min=1, help="Shorter side after resizing.", rich_help_panel=DATA),
    ] = None
    crop: Annotated[
        int | None, typer.Option("--crop", metavar="PIXELS", min=1, help="Centre crop.", rich_help_panel=DATA)
    ] = None
    pixel_scale: Annotated[
        float | None,
        typer.Option(
            "--pixel-scale",
            metavar="NUMBER",
            help="Multiplies pixels 0 to 255 first; 1/255 = 0.00392157 unless set.",
            rich_help_panel=DATA,
        ),
    ] = None
    mean: Annotated[
        str | None,
        typer.Option(
            "--mean",
            metavar="NUMBERS",
            callback=check_numbers,
            help="Subtracted from the scaled pixels, one for all or one per channel.",
            rich_help_panel=DATA,
        ),
    ] = None
    std: Annotated[
        str | None,
        typer.Option(
            "--std", metavar="NUMBERS", callback=check_numbers, help="Divides what is left.", rich_help_panel=DATA
        ),
    ] = None
    channel_order: Annotated[
        ChannelOrder | None, typer.Option("--channel-order", help="Of the network's input.", rich_help_panel=DATA)
    ] = None
    samples: Annotated[
        int | None,
        typer.Option("--samples", metavar="N", min=1, help="Measure on at most N samples.", rich_help_panel=DATA),
    ] = None
    calib_samples: Annotated[
        int,
        typer.Option(
            "--calib-samples", metavar="N", min=1, help="Calibrate on at most N samples.", rich_help_panel=DATA
        ),
    ] = 128
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Of every random choice.", rich_help_panel=DATA)
    ] = 0
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size", metavar="N", min=1, help="Samples per pass; the result is the same.", rich_help_panel=RUN
        ),
    ] = 16
