"""`qdiag export`: the diagnosed and repaired plan as a file of integers."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_experiment
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import JsonOption, WrittenAgainOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.panels import output_option, repair_option
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.repair import RepairBoundOption, RepairLayersOption, repair_names
from qdiag.cli.options.roles import Reads, Writes, result_files
from qdiag.cli.options.scheme import SchemeOptions
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.deployment.export import print_export
from qdiag.cli.tables.deployment.settings import print_settings
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.files.atomic import check_writable, write_file
from qdiag.files.target import check_new
from qdiag.runtimes.choice import check_writer, written_encoding

if TYPE_CHECKING:
    from qdiag.pipeline.export.repaired import WantedRepair

EXPORT_EPILOG = """
[bold]Examples[/]

QDQ ONNX for onnxruntime:  [cyan]qdiag export net.pt2 -o int8.onnx --data photos/ --preset imagenet[/]

int8 LiteRT:  [cyan]qdiag export net.pt2 -o int8.tflite --data images.npz[/]

Repaired first:  [cyan]qdiag export net.pt2 --with equalize,correct_bias -o int8.onnx --data images.npz[/]

What a diagnosis proposes:  [cyan]qdiag export net.pt2 --repairs-of reports/run1 -o int8.onnx --data images.npz[/]

A layer in float:  [cyan]qdiag export net.pt2 -o int8.onnx --data images.npz --set 'float_layers=["head"]'[/]

Settings for another quantizer:  [cyan]qdiag export net.onnx --for quantize_static -o set.json --data images.npz[/]

[bold]Exit codes[/]

0 The file was written;  1 The file was written, but the runtime computes layers in float that have integers in
the plan;  2 The usage is wrong, the model or the data cannot be used, or no file could be written;  130 The
command was interrupted.
"""

ExportedOption = Annotated[
    Path | None,
    output_option(
        "--out", "-o", metavar="FILE", help="Write to this file. Its suffix says the format: .onnx or .tflite."
    ),
    Writes(),
]
ForOption = Annotated[
    Literal["quantize_static", "tensorrt", "openvino", "litert"] | None,
    output_option(
        "--for",
        help="Write settings for another quantizer in place of a network. They hold the layers in float, "
        "formats and ranges: for quantize_static of onnxruntime, for trtexec of tensorrt, for NNCF of "
        "openvino, or as a recipe of ai-edge-quantizer for litert.",
    ),
]
ReplaceOption = Annotated[bool, output_option("--force", help="Replace the file if it is there.")]
MadeOption = Annotated[
    list[str] | None,
    repair_option(
        "--with",
        metavar="REPAIR[,REPAIR...]",
        help="Make these repairs first, in the order given. They are those of qdiag repair, or repairs of the plan.",
    ),
]
RepairsOfOption = Annotated[
    Path | None,
    repair_option(
        "--repairs-of",
        metavar="DIAGNOSIS",
        help="Make the repairs that a stored diagnosis proposes, at its layers and under its scheme. It is "
        "diagnosis.json, or the folder that qdiag diagnose -o wrote.",
    ),
    Reads(result_files),
]


@partial(expand, without=("targets",))
def export(
    model: ModelOptions,
    data: DataOptions,
    scheme: SchemeOptions,
    quantized: WrittenAgainOption = None,
    output: ExportedOption = None,
    for_: ForOption = None,
    force: ReplaceOption = False,
    with_: MadeOption = None,
    layers: RepairLayersOption = None,
    diagnosis: RepairsOfOption = None,
    float_bound: RepairBoundOption = 1e-3,
    json: JsonOption = None,
    *,
    run: RunOptions,
) -> None:
    """Write the quantized network as a file of integers.

    The network is calibrated, repaired where --with or --repairs-of says so, and written with its scales,
    zero points, integer weights and int32 biases. Then its runtime opens the file.

    Calibration is the same as in every other command. Layers that the scheme keeps in float stay in
    float. Nodes have the names of the layers, so that Netron finds them. The operations that the runtime
    computes with integers are counted after its optimizer; those in float are named.
    """
    stdout_is_taken = check_single_stdout(json, None)
    if output is None:
        raise ConfigError("it is not said where the file is to be written", at="-o", hint="give -o int8.onnx")
    check_writable(output)
    check_new(output, force=force)
    if for_ is None:
        check_writer(written_encoding(str(output)))
    if diagnosis is not None and with_:
        raise ConfigError("--with and --repairs-of exclude each other", hint="leave one away")
    check_drawn(data, model)
    resolved, wanted = scheme.resolved, tuple(repair_names(with_ or []))
    from qdiag.pipeline.export.export import export_experiment
    from qdiag.pipeline.export.formats import format_of
    from qdiag.pipeline.export.repaired import WantedRepair, check_wanted
    from qdiag.pipeline.export.settings import settings_for

    form = format_of(str(output)) if for_ is None else None
    steps = tuple(WantedRepair(name, tuple(layers or ())) for name in wanted)
    if diagnosis is not None:
        resolved, steps = _proposed(diagnosis)
    check_wanted(steps)
    with running(run, seed=data.seed) as session:
        experiment = open_experiment(session, model, data, resolved, None, quantized, scheme.set_ or ())
        exit_code = 0
        if form is not None:
            exported = export_experiment(session, experiment, form, steps, float_bound=float_bound)
            write_file(output, exported.file.content)
            report = replace(exported.report, written_to=str(output))
            exit_code = report.exit_code
            write_result(json, report)
            if not stdout_is_taken:
                print_export(stdout_console(), report)
        elif for_ is not None:
            text, told = settings_for(session, experiment, for_, steps, float_bound=float_bound)
            write_file(output, text)
            told = replace(told, written_to=str(output))
            write_result(json, told)
            if not stdout_is_taken:
                print_settings(stdout_console(), told)
    tell_times(session.progress, quiet=run.quiet)
    raise typer.Exit(exit_code)


def _proposed(diagnosis: Path) -> "tuple[QuantScheme, tuple[WantedRepair, ...]]":
    """The scheme of a diagnosis, and the steps of its sequence of repairs."""
    from qdiag.pipeline.export.repaired import WantedRepair
    from qdiag.writers.json.diagnosis import read_diagnosis

    found = read_diagnosis(diagnosis)
    steps = found.ranking.waterfall
    if not steps:
        raise ConfigError(
            "the diagnosis proposes no repair", at=str(diagnosis), hint="leave --repairs-of away to export it as it is"
        )
    return found.measurement.scheme, tuple(WantedRepair(step.repair, step.layers) for step in steps)
