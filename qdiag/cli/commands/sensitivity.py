"""`qdiag sensitivity`: what does each layer cost by itself?"""

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from qdiag.cli.console import Stopwatch, make_progress, remark, stdout_console
from qdiag.cli.inputs import DataOptions, ModelOptions, open_data, open_subject, resolve_scheme
from qdiag.cli.options.choices import Device
from qdiag.cli.options.common import (
    RUN,
    DebugOption,
    DeviceOption,
    JsonOption,
    NoCacheOption,
    NoFoldOption,
    PlotOption,
    QuietOption,
    SchemeOption,
    SetOption,
    TopOption,
    VerboseOption,
)
from qdiag.cli.options.expand import expand
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.process import prepare_process
from qdiag.cli.resume import resumable
from qdiag.cli.tables.cost_words import minutes, pass_words
from qdiag.config import DEFAULT_PRESET

if TYPE_CHECKING:
    from qdiag.core.measures.sensitivity import Sensitivity
    from qdiag.simulate.case import Case

SENSITIVITY_EPILOG = """
[bold]Examples[/]

Each layer's weights alone:  [cyan]qdiag sensitivity net.pt2 --data photos/ --scheme tf-uint8 --part weights[/]

A first look in one sweep:  [cyan]qdiag sensitivity net.pt2 --data photos/ --estimate-only[/]

[bold]Exit codes[/]

0 the table was made;  2 wrong usage, or a model or data that cannot be judged;  130 interrupted.
"""


class Part(str, Enum):
    """Which quantizers are switched."""

    BOTH = "both"
    WEIGHTS = "weights"
    ACTIVATIONS = "activations"


PartOption = Annotated[Part, typer.Option("--part", help="Which quantizers are switched.", rich_help_panel=RUN)]
AllButOption = Annotated[
    bool,
    typer.Option("--all-but/--no-all-but", help="Also the network with all layers but one.", rich_help_panel=RUN),
]
EstimateOnlyOption = Annotated[
    bool,
    typer.Option("--estimate-only", help="Only the estimate of one backward pass.", rich_help_panel=RUN),
]


@expand
def sensitivity(
    model: ModelOptions,
    data: DataOptions,
    scheme: SchemeOption = DEFAULT_PRESET,
    set_: SetOption = None,
    no_fold: NoFoldOption = False,
    part: PartOption = Part.BOTH,
    all_but: AllButOption = True,
    estimate_only: EstimateOnlyOption = False,
    device: DeviceOption = Device.AUTO,
    no_cache: NoCacheOption = False,
    top: TopOption = None,
    json: JsonOption = None,
    plot: PlotOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    debug: DebugOption = False,
) -> None:
    """Quantize each layer alone, and all but it, and show what that does to the output.

    [bold]How to read the table[/]

    [cyan]alone[/]        Only this layer is quantized: SQNR at the output, and the task.
    [cyan]without it[/]   Everything is quantized except this layer: what keeping it in float gives.
    [cyan]estimate[/]     Squared gradient of the loss times squared local error (Fisher), from one
                 backward pass: an order of the layers, at the price of about three passes.

    Layers share what comes before them, so a sweep over L layers costs about L/2 passes each.
    """
    del debug  # read by main()
    stdout_is_taken = check_single_stdout(json, None)
    resolved = resolve_scheme(scheme, set_ or (), weights_only=False, activations_only=False, no_fold=no_fold)
    prepare_process()
    watch = Stopwatch()
    progress = make_progress(quiet=quiet, verbose=verbose)
    with resumable(no_cache=no_cache, quiet=quiet) as cache:
        try:
            subject = open_subject(model)
            datasets = open_data(data, model, subject, progress)
            from qdiag.pipeline.estimate import estimate_sweep
            from qdiag.pipeline.sensitivity import measure_sensitivity

            def announce(case: "Case") -> None:
                cost = estimate_sweep(case, part.value, with_exact=not estimate_only, with_all_but=all_but)
                remark(f"at least {minutes(cost.total_s)}{pass_words(cost)}", quiet=quiet)

            result = measure_sensitivity(
                subject,
                datasets,
                resolved,
                part=part.value,
                with_exact=not estimate_only,
                with_all_but=all_but,
                device=device.value,
                seed=data.seed,
                progress=progress,
                announce=None if quiet else announce,
                cache=cache,
            )
        finally:
            progress.finish()
        _write(result, json, plot)
    if not stdout_is_taken:
        from qdiag.cli.tables.sensitivity import print_sensitivity

        print_sensitivity(stdout_console(), result, top)
    remark(f"{watch.elapsed_s:.1f} s", quiet=quiet)


def _write(result: "Sensitivity", json: JsonOption, plot: PlotOption) -> None:
    if json is not None:
        from qdiag.files.atomic import write_file
        from qdiag.writers.json.results import result_to_json

        write_file(json, result_to_json(result))
    if plot is not None:
        from qdiag.writers.plots.figure import save_figure
        from qdiag.writers.plots.sensitivity import sensitivity_figure

        save_figure(sensitivity_figure(result), plot)
