"""Every option once, with its help; commands pick from here."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from qdiag.cli.options.panels import file_option, model_option, output_option, run_option, scheme_option
from qdiag.cli.options.parse import check_plot, check_ranges_file, check_shape
from qdiag.cli.options.roles import Reads, Writes
from qdiag.loaders.missing import check_model

Device = Literal["cpu", "cuda", "auto"]
Order = Literal["worst", "graph"]
Runtime = Literal["float", "ort", "tflite-ref", "tflite", "xnnpack", "fbgemm", "qnnpack"]
SortKey = Literal["local", "propagated"]

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help=".pt2, .onnx, TorchScript, state dict, training checkpoint or .safetensors, told by content; or code that "
        "builds a network, in the forms of --arch.",
    ),
    Reads(check=check_model),
]
QuantizedOption = Annotated[
    str | None,
    model_option(
        "--quantized",
        metavar="FILE",
        help="A quantized ONNX or LiteRT file that was made from MODEL: its integers are measured against MODEL, in "
        "place of a scheme.",
    ),
    Reads(check=check_model),
]
ArchOption = Annotated[
    str | None,
    model_option(
        "--arch",
        metavar="REF",
        help="Builds the network of a state dict: zoo:mobilenet_v1?width=0.75, package.module:fn, ./net.py:fn.",
    ),
    Reads(),
]
TrustOption = Annotated[
    bool,
    model_option("--trust", help="Run code from the file: a pickled module, TorchScript that does more than compute."),
]
KeyOption = Annotated[
    str | None,
    model_option(
        "--key",
        metavar="KEY",
        help="Where the weights are in a checkpoint, such as params_ema or a/b. Found without it where only one fits.",
    ),
]
SubmoduleOption = Annotated[
    str | None, model_option("--submodule", metavar="PATH", help="Diagnose this part alone, such as backbone.")
]
InputShapeOption = Annotated[
    str | None,
    model_option(
        "--input-shape",
        metavar="N,C,H,W",
        callback=check_shape,
        help="Shape of the input, batch axis first. Needed without --data.",
    ),
]


SchemeOption = Annotated[
    str,
    scheme_option("--scheme", metavar="NAME|FILE", help="A preset of `qdiag schemes`, or a TOML file of your own."),
    Reads(),
]
ShownSchemeOption = Annotated[
    str | None,
    scheme_option(
        "--scheme",
        metavar="NAME|FILE",
        help="Also show what the quantizers of this scheme make of the ranges: a preset of `qdiag schemes`, or a TOML "
        "file of your own.",
    ),
    Reads(),
]
SetOption = Annotated[
    list[str] | None,
    scheme_option(
        "--set", metavar="KEY=VALUE", help="Replace one field of the scheme, such as weights.bits=4; can be repeated."
    ),
]
ArithmeticOption = Annotated[
    Runtime | None,
    scheme_option(
        "--arithmetic",
        metavar="RUNTIME",
        show_default="as the scheme says",
        help="ort: as the integer kernels of onnxruntime compute, integer for integer. tflite-ref, tflite, xnnpack: as "
        "the kernels of LiteRT do. fbgemm, qnnpack: as the engines of torch do. float: in float32, by what integer "
        "backends have in common.",
    ),
]
WeightsOnlyOption = Annotated[bool, scheme_option("--weights-only", help="Leave activations in float.")]
ActivationsOnlyOption = Annotated[bool, scheme_option("--activations-only", help="Leave weights in float.")]
NoFoldOption = Annotated[
    bool, scheme_option("--no-fold", help="Keep BatchNorm apart instead of folding it into the weights.")
]

LossesOption = Annotated[
    bool,
    run_option(
        "--losses",
        help="Also measure the five losses of every layer one at a time: input, weight, saturation, requantization, "
        "clipping.",
    ),
]
Plots = Literal["none", "png", "svg"]
PlotsOption = Annotated[
    Plots,
    output_option("--plots", help="Also write every picture of the report into plots/; report.html draws its own."),
]
ExhaustiveOption = Annotated[
    bool, run_option("--exhaustive", help="Measure everything on all samples: every layer, every width, every repair.")
]
DeviceOption = Annotated[Device, run_option("--device", help="Where to run.")]

OrderOption = Annotated[Order, output_option("--order", help="Order of the rows.")]
SortOption = Annotated[SortKey, output_option("--sort", help="Which SQNR `worst` goes by.")]
TopOption = Annotated[
    int | None,
    output_option(
        "--top",
        metavar="N",
        min=0,
        show_default="25 when worst first, all in graph order",
        help="Show N rows; 0 for all.",
    ),
]
JsonOption = Annotated[
    str | None,
    file_option("--json", help="Everything, as JSON; - prints it instead of the table."),
    Writes(),
]
CsvOption = Annotated[
    str | None,
    file_option("--csv", help="One row per layer; - prints it instead of the table."),
    Writes(),
]
RangesFileOption = Annotated[
    str | None,
    output_option(
        "--output",
        "-o",
        metavar="FILE",
        callback=check_ranges_file,
        help="The ranges of all outputs for a runtime: .json is onnxruntime's calibration cache, .flatbuffers its "
        "table for TensorRT, .cache TensorRT's own calibration cache.",
    ),
    Writes(),
]
PlotOption = Annotated[
    Path | None,
    output_option("--plot", metavar="FILE.png|.svg", callback=check_plot, help="The picture by layer."),
    Writes(),
]
NoCacheOption = Annotated[
    bool, run_option("--no-cache", help="Neither use nor keep finished passes; see `qdiag cache`.")
]
QuietOption = Annotated[bool, output_option("--quiet", "-q", help="No progress and no remarks on stderr.")]
VerboseOption = Annotated[bool, output_option("--verbose", "-v", help="A line on stderr for every finished stage.")]
DebugOption = Annotated[bool, output_option("--debug", help="Show tracebacks and warnings.")]
