"""`qdiag verify`: the last check before shipping."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_experiment
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import JsonOption, OrderOption, TopOption, VerifiedOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.panels import run_option
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.scheme import SchemeOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.deployment.verify import print_verification
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.core.measures.deployed.verification import Verification, VerifyLimits
from qdiag.errors import ConfigError
from qdiag.loaders.stored_network import encoding_of, holds_integers
from qdiag.runtimes.choice import RUNTIMES, check_runtime, check_writer, encoding_for

if TYPE_CHECKING:
    from qdiag.pipeline.begin import Experiment
    from qdiag.pipeline.export.formats import IntegerFormat
    from qdiag.simulate.session import Session

VERIFY_EPILOG = """
[bold]Examples[/]

The file that you ship:  [cyan]qdiag verify net.pt2 --quantized int8.onnx --data photos/ --preset imagenet[/]

The network as qdiag export writes it:  [cyan]qdiag verify net.pt2 --data images.npz --scheme tf-uint8[/]

In CI, at most one point lost:  [cyan]qdiag verify net.pt2 --quantized int8.onnx --data images.npz --max-drop 1[/]

[bold]Exit codes[/]

0 All limits hold;  1 A limit is broken, or layers with integers in the plan run in float;  2 The usage is
wrong, the model or the data cannot be used, the runtime is not installed, or nothing could be compared;  130
The command was interrupted.
"""

RuntimeOption = Annotated[
    Literal["ort", "tflite-ref", "tflite", "xnnpack"] | None,
    run_option(
        "--runtime",
        metavar="RUNTIME",
        show_default="by the format of the file",
        help="Run the file in this runtime. ort is onnxruntime; xnnpack, tflite and tflite-ref are LiteRT as "
        "it is by default, without its delegate, and with its reference kernels.",
    ),
]
MaxDifferingOption = Annotated[
    float,
    run_option(
        "--max-differing",
        metavar="PERCENT",
        min=0.0,
        max=100.0,
        help="Fail if more integers than this differ between simulated and deployed network, in percent.",
    ),
]
MaxGapOption = Annotated[
    float,
    run_option(
        "--max-sqnr-gap",
        metavar="DB",
        min=0.0,
        help="Fail if the output SQNR of the deployed network lies further below that of the simulated one, in dB.",
    ),
]
MaxDropOption = Annotated[
    float | None,
    run_option(
        "--max-drop",
        metavar="LOSS",
        help="Fail if the deployed network loses more than this against the float one. The loss is in "
        "percentage points, or in the unit of the metric.",
    ),
]


@expand
def verify(
    model: ModelOptions,
    data: DataOptions,
    scheme: SchemeOptions,
    task: TaskOptions,
    quantized: VerifiedOption = None,
    runtime: RuntimeOption = None,
    max_differing: MaxDifferingOption = 1.0,
    max_sqnr_gap: MaxGapOption = 1.0,
    max_drop: MaxDropOption = None,
    order: OrderOption = "worst",
    top: TopOption = None,
    json: JsonOption = None,
    *,
    run: RunOptions,
) -> None:
    """Compare the float, the simulated and the deployed network.

    The deployed network is the file of --quantized, or what qdiag export would write. It runs in its
    runtime, and every integer tensor of it is compared with the simulation.

    The simulation follows the arithmetic of the runtime unless --arithmetic says otherwise. Outputs and
    the task's metric are measured for all three.

    [bold]How to read the table[/]

    [cyan]differing[/]  Share of the layer's integers in which the two networks differ.
    [cyan]steps[/]      Largest difference, in steps of the layer's quantizer.
    """
    stdout_is_taken = check_single_stdout(json, None)
    resolved = replace(scheme, arithmetic=None).resolved
    limits = VerifyLimits(max_differing, max_sqnr_gap, max_drop)
    chosen = _runtime(runtime, quantized or model.model)
    check_drawn(data, model)
    with running(run, seed=data.seed) as session:
        from qdiag.pipeline.export.formats import format_for
        from qdiag.pipeline.verify.verify import with_arithmetic

        experiment = open_experiment(session, model, data, resolved, task, quantized, scheme.set_ or (), repairs=False)
        form = format_for(chosen)
        experiment = with_arithmetic(session, experiment, scheme.arithmetic or form.arithmetic)
        result = _verified(session, experiment, form, quantized, limits, model.model)
    write_result(json, result)
    if not stdout_is_taken:
        print_verification(stdout_console(), result, order, top)
    tell_times(session.progress, quiet=run.quiet)
    raise typer.Exit(result.exit_code)


def _runtime(wanted: str | None, file: str) -> str:
    """What runs the file: what was asked for, or that of its format; onnxruntime where it is yet to be written.

    Raises:
        ConfigError: it does not run the format of the file. LoadError: it is not installed.
    """
    encoding = encoding_of(file) if holds_integers(file) else None
    if wanted is not None and encoding is not None and encoding_for(wanted) != encoding:
        raise ConfigError(
            f"{wanted} does not run {file}, a file of another format",
            at="--runtime",
            hint=f"leave it away: the file is run by {RUNTIMES[encoding]}",
        )
    runtime = wanted or RUNTIMES[encoding or "ONNX"]
    if encoding is None:
        check_writer(encoding_for(runtime))
    check_runtime(encoding_for(runtime))
    return runtime


def _verified(
    session: "Session",
    experiment: "Experiment",
    form: "IntegerFormat",
    quantized: str | None,
    limits: VerifyLimits,
    model: str,
) -> Verification:
    from qdiag.loaders.models.operations.onnx import self_contained
    from qdiag.pipeline.export.export import export_experiment
    from qdiag.pipeline.verify.verify import verify_case

    if experiment.deployed is None:
        exported = export_experiment(session, experiment, form)
        content, names = exported.file.content, exported.file.integers
        return verify_case(session, experiment, exported.case, form, content, names, source=None, limits=limits)
    source = quantized or model  # a quantized file alone is measured against its own weights
    content = self_contained(Path(source))
    found = verify_case(session, experiment, experiment.case, form, content, None, source=source, limits=limits)
    return replace(found, file=experiment.deployed.file)
