"""Every option once, with its help; commands pick from here."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from qdiag.cli.options.panels import file_option, model_option, output_option, run_option, scheme_option
from qdiag.cli.options.parse import check_plot, check_ranges_file, check_shape
from qdiag.cli.options.roles import Reads, Writes
from qdiag.loaders.stored_network import check_quantized, check_readable

Device = Literal["cpu", "cuda", "auto"]
Order = Literal["worst", "graph"]
Runtime = Literal["float", "ort", "tflite-ref", "tflite", "xnnpack", "fbgemm", "qnnpack"]
SortKey = Literal["local", "propagated"]

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help="The network: .pt2, .onnx, .tflite, .safetensors, TorchScript, a state dict or a checkpoint. The content "
        "of the file decides which it is. Code that builds a network is named as in --arch.",
    ),
    Reads(check=check_readable),
]
QuantizedOption = Annotated[
    str | None,
    model_option(
        "--quantized",
        metavar="FILE",
        help="Measure this quantized ONNX or LiteRT file, which was made from MODEL, in place of a scheme. "
        "Its integers are measured against MODEL.",
    ),
    Reads(check=check_quantized),
]
VerifiedOption = Annotated[
    str | None,
    model_option(
        "--quantized",
        metavar="FILE",
        help="Verify this ONNX or LiteRT file of integers, which was made from MODEL. Without it, the file that "
        "qdiag export would write is made and verified.",
    ),
    Reads(check=check_quantized),
]
WrittenAgainOption = Annotated[
    str | None,
    model_option(
        "--quantized",
        metavar="FILE",
        help="Take the scales of this quantized ONNX or LiteRT file, which was made from MODEL, in place of a scheme.",
    ),
    Reads(check=check_quantized),
]
ArchOption = Annotated[
    str | None,
    model_option(
        "--arch",
        metavar="REF",
        help="Build the network of a state dict by zoo:mobilenet_v1?width=0.75, package.module:fn or ./net.py:fn.",
    ),
    Reads(),
]
TrustOption = Annotated[
    bool,
    model_option(
        "--trust", help="Run code from the file, for a pickled module or TorchScript that does more than compute."
    ),
]
KeyOption = Annotated[
    str | None,
    model_option(
        "--key",
        metavar="KEY",
        help="Take the weights from this place in a checkpoint, such as params_ema or a/b. It is found "
        "without the option where only one fits.",
    ),
]
SubmoduleOption = Annotated[
    str | None,
    model_option("--submodule", metavar="PATH", help="Measure this part of the network alone, such as backbone."),
]
InputShapeOption = Annotated[
    str | None,
    model_option(
        "--input-shape",
        metavar="N,C,H,W",
        callback=check_shape,
        help="Give the shape of the input, batch axis first. It is needed without --data.",
    ),
]


SchemeOption = Annotated[
    str,
    scheme_option(
        "--scheme", metavar="NAME|FILE", help="Quantize by a preset of `qdiag schemes`, or by a TOML file of your own."
    ),
    Reads(),
]
ShownSchemeOption = Annotated[
    str | None,
    scheme_option(
        "--scheme",
        metavar="NAME|FILE",
        help="Also show what the quantizers of this scheme make of the ranges. It is a preset of `qdiag "
        "schemes`, or a TOML file of your own.",
    ),
    Reads(),
]
SetOption = Annotated[
    list[str] | None,
    scheme_option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace one field of the scheme, such as weights.bits=4. The option can be repeated.",
    ),
]
ArithmeticOption = Annotated[
    Runtime | None,
    scheme_option(
        "--arithmetic",
        metavar="RUNTIME",
        show_default="as the scheme says",
        help="Compute as a runtime does, integer for integer. ort is onnxruntime; tflite-ref, tflite and "
        "xnnpack are the kernels of LiteRT; fbgemm and qnnpack are the engines of torch; float computes "
        "in float32 what integer backends have in common.",
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
        help="Also measure the five losses of every layer. They are those of input, weight, saturation, "
        "requantization and clipping, with one quantizer on at a time.",
    ),
]
AllSamplesOption = Annotated[
    bool,
    run_option(
        "--exhaustive",
        help="Measure every layer on all samples, as outputs always are. Without it, layers with many values are "
        "measured on 32 to 128 of them.",
    ),
]
Plots = Literal["none", "png", "svg"]
PlotsOption = Annotated[
    Plots,
    output_option(
        "--plots",
        help="Also write every plot of the report as a file into plots/. The plots in report.html do not need them.",
    ),
]
ExhaustiveOption = Annotated[
    bool, run_option("--exhaustive", help="Measure every layer, every bit width and every repair on all samples.")
]
DeviceOption = Annotated[Device, run_option("--device", help="Run on this device.")]

OrderOption = Annotated[Order, output_option("--order", help="Order the rows by their result, or as in the network.")]
SortOption = Annotated[SortKey, output_option("--sort", help="Take this SQNR for the order `worst`.")]
TopOption = Annotated[
    int | None,
    output_option(
        "--top",
        metavar="N",
        min=0,
        show_default="25 when worst first, all in graph order",
        help="Show N rows, or all with 0.",
    ),
]
JsonOption = Annotated[
    str | None,
    file_option("--json", help="Write the whole result as JSON; - prints it instead of the table."),
    Writes(),
]
CsvOption = Annotated[
    str | None,
    file_option("--csv", help="Write one row per layer as CSV; - prints it instead of the table."),
    Writes(),
]
RangesFileOption = Annotated[
    str | None,
    output_option(
        "--output",
        "-o",
        metavar="FILE",
        callback=check_ranges_file,
        help="Write the ranges of all outputs for a runtime. .json is the calibration cache of onnxruntime, "
        ".flatbuffers its table for TensorRT, .cache the calibration cache of TensorRT itself.",
    ),
    Writes(),
]
PlotOption = Annotated[
    Path | None,
    output_option("--plot", metavar="FILE.png|.svg", callback=check_plot, help="Write a plot over the layers."),
    Writes(),
]
NoCacheOption = Annotated[
    bool, run_option("--no-cache", help="Neither use nor keep finished passes. `qdiag cache` shows what is kept.")
]
QuietOption = Annotated[bool, output_option("--quiet", "-q", help="Print no progress and no remarks on stderr.")]
VerboseOption = Annotated[
    bool, output_option("--verbose", "-v", help="Print a line on stderr for every finished stage.")
]
DebugOption = Annotated[bool, output_option("--debug", help="Show tracebacks and warnings.")]
