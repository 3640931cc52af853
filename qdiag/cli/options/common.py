"""Every option once, with its help; commands pick from here."""

from pathlib import Path
from typing import Annotated

import typer

from qdiag.cli.options.choices import Device, Order, SortKey
from qdiag.cli.options.parse import check_output, check_plot, check_shape
from qdiag.cli.options.roles import Reads, Writes

MODEL, DATA, SCHEME, RUN, OUTPUT = "Model", "Data", "Scheme", "Run", "Output"

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help=".pt2, TorchScript, state dict, training checkpoint or .safetensors, told by content; or code that builds "
        "a network, in the forms of --arch.",
    ),
    Reads(),
]
ArchOption = Annotated[
    str | None,
    typer.Option(
        "--arch",
        metavar="REF",
        help="Builds the network of a state dict: zoo:mobilenet_v1?width=0.75, package.module:fn, ./net.py:fn.",
        rich_help_panel=MODEL,
    ),
    Reads(),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run code from the file: a pickled module, TorchScript that does more than compute.",
        rich_help_panel=MODEL,
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Where the weights are in a checkpoint, such as params_ema or a/b. Found without it where only one fits.",
        rich_help_panel=MODEL,
    ),
]
SubmoduleOption = Annotated[
    str | None,
    typer.Option(
        "--submodule", metavar="PATH", help="Diagnose this part alone, such as backbone.", rich_help_panel=MODEL
    ),
]
InputShapeOption = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        metavar="N,C,H,W",
        callback=check_shape,
        help="Shape of the input, batch axis first. Needed without --data.",
        rich_help_panel=MODEL,
    ),
]


SchemeOption = Annotated[
    str,
    typer.Option(
        "--scheme",
        metavar="NAME|FILE",
        help="A preset of `qdiag schemes`, or a TOML file of your own.",
        rich_help_panel=SCHEME,
    ),
    Reads(),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace one field of the scheme, such as weights.bits=4; can be repeated.",
        rich_help_panel=SCHEME,
    ),
]
WeightsOnlyOption = Annotated[
    bool, typer.Option("--weights-only", help="Leave activations in float.", rich_help_panel=SCHEME)
]
ActivationsOnlyOption = Annotated[
    bool, typer.Option("--activations-only", help="Leave weights in float.", rich_help_panel=SCHEME)
]
NoFoldOption = Annotated[
    bool,
    typer.Option(
        "--no-fold", help="Keep BatchNorm apart instead of folding it into the weights.", rich_help_panel=SCHEME
    ),
]

LossesOption = Annotated[
    bool,
    typer.Option(
        "--losses",
        help="Also measure the five losses of every layer one at a time: input, weight, saturation, requantization, "
        "clipping.",
        rich_help_panel=RUN,
    ),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="./FILE.py:FN",
        help="Your own score beside top-1: fn(outputs, labels), of both networks.",
        rich_help_panel=RUN,
    ),
    Reads(),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to run.", rich_help_panel=RUN)]

OrderOption = Annotated[Order, typer.Option("--order", help="Order of the rows.", rich_help_panel=OUTPUT)]
SortOption = Annotated[SortKey, typer.Option("--sort", help="Which SQNR `worst` goes by.", rich_help_panel=OUTPUT)]
TopOption = Annotated[
    int | None,
    typer.Option(
        "--top",
        metavar="N",
        min=0,
        show_default="25 when worst first, all in graph order",
        help="Show N rows; 0 for all.",
        rich_help_panel=OUTPUT,
    ),
]
JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        callback=check_output,
        help="Everything, as JSON; - prints it instead of the table.",
        rich_help_panel=OUTPUT,
    ),
    Writes(),
]
CsvOption = Annotated[
    str | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        callback=check_output,
        help="One row per layer; - prints it instead of the table.",
        rich_help_panel=OUTPUT,
    ),
    Writes(),
]
PlotOption = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="FILE.png|.svg", callback=check_plot, help="The picture by layer.", rich_help_panel=OUTPUT
    ),
    Writes(),
]
NoCacheOption = Annotated[
    bool,
    typer.Option("--no-cache", help="Neither use nor keep finished passes; see `qdiag cache`.", rich_help_panel=RUN),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no remarks on stderr.", rich_help_panel=OUTPUT)
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="A line on stderr for every finished stage.", rich_help_panel=OUTPUT)
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and warnings.", rich_help_panel=OUTPUT)]
