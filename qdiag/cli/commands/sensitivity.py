"""`qdiag sensitivity`: what does each layer cost by itself?"""

from functools import partial
from typing import Annotated

from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_experiment
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import JsonOption, PlotOption, TopOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.panels import run_option
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.scheme import PARTS, SchemeOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.cost_words import announce
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.core.measures.sensitivity import SensitivityPart

SENSITIVITY_EPILOG = """
[bold]Examples[/]

Each layer's weights alone:  [cyan]qdiag sensitivity net.pt2 --data photos/ --scheme tf-uint8 --part weights[/]

A first look in one sweep:  [cyan]qdiag sensitivity net.pt2 --data photos/ --estimate-only[/]

[bold]Exit codes[/]

0 The table was made;  2 The usage is wrong, or the model or the data cannot be judged;  130 The command was
interrupted.
"""


PartOption = Annotated[SensitivityPart, run_option("--part", help="Switch the quantizers of this part of each layer.")]
AllButOption = Annotated[
    bool, run_option("--all-but/--no-all-but", help="Also measure the network with all layers but one quantized.")
]
EstimateOnlyOption = Annotated[
    bool, run_option("--estimate-only", help="Only estimate the order of the layers, by one backward pass.")
]


@partial(expand, without=PARTS)
def sensitivity(
    model: ModelOptions,
    data: DataOptions,
    scheme: SchemeOptions,
    task: TaskOptions,
    part: PartOption = "both",
    all_but: AllButOption = True,
    estimate_only: EstimateOnlyOption = False,
    top: TopOption = None,
    json: JsonOption = None,
    plot: PlotOption = None,
    *,
    run: RunOptions,
) -> None:
    """Quantize each layer alone, then all layers but that one.

    The table has the SQNR at the output for both, and what the task loses. Layers share what comes before
    them, so that a sweep over L layers costs about L/2 passes each.

    [bold]How to read the table[/]

    [cyan]alone[/]        Only this layer is quantized: SQNR at the output, and the task.
    [cyan]without it[/]   Everything is quantized except this layer: what keeping it in
                 float gives.
    [cyan]estimate[/]     Squared gradient of the loss times squared local error (Fisher),
                 from one backward pass: an order of the layers, at the price of
                 about three passes.
    """
    stdout_is_taken = check_single_stdout(json, None)
    check_drawn(data, model)
    resolved = scheme.resolved
    with running(run, seed=data.seed, is_divided=True) as session:
        from qdiag.pipeline.sensitivity import SensitivityOptions, measure_sensitivity

        options = SensitivityOptions(part, with_exact=not estimate_only, with_all_but=all_but)
        experiment = open_experiment(session, model, data, resolved, task, None, scheme.set_ or (), repairs=False)
        if not run.quiet:
            from qdiag.pipeline.estimate import estimate_sweep

            announce(session, estimate_sweep(session, experiment.case, options))
        result = measure_sensitivity(session, experiment, options)
        session.processes.leave_to_first()
        write_result(json, result)
        if plot is not None:
            from qdiag.writers.plots.drawing.figure import save_figure
            from qdiag.writers.plots.sensitivity import sensitivity_figure

            save_figure(sensitivity_figure(result), plot)
    if not stdout_is_taken:
        from qdiag.cli.tables.sensitivity import print_sensitivity

        print_sensitivity(stdout_console(), result, top)
    tell_times(session.progress, quiet=run.quiet)
