"""`qdiag rank`: which fault costs what, measured by repairing each alone."""

from functools import partial

from qdiag.cli.commands.diagnose import run_diagnosis, write_diagnosis
from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_experiment
from qdiag.cli.options.common import ExhaustiveOption, JsonOption, PlotOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.scheme import PARTS, SchemeOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.options.words import option_words
from qdiag.cli.run import RunOptions, running
from qdiag.cli.waiting.watched_run import tell_times

RANK_EPILOG = """
[bold]Examples[/]

Which fault costs what:  [cyan]qdiag rank net.pt2 --data photos/ --preset imagenet --scheme tf-uint8[/]

With the picture of the papers:  [cyan]qdiag rank net.pt2 --data photos/ --plot waterfall.png --json rank.json[/]

[bold]Exit codes[/]

0 The ranking was made, whatever it says;  2 The usage is wrong, or the model or the data cannot be judged;  130
The command was interrupted.
"""


@partial(expand, without=PARTS)
def rank(
    model: ModelOptions,
    data: DataOptions,
    scheme: SchemeOptions,
    task: TaskOptions,
    json: JsonOption = None,
    plot: PlotOption = None,
    exhaustive: ExhaustiveOption = False,
    *,
    run: RunOptions,
) -> None:
    """Rank the causes of the loss by what repairing each recovers.

    Each repair is made alone, on a copy, and the network is measured again on the same images, beside a
    placebo: the same repair where the fault is not.

    Repairs that keep the scheme decide the rank; changes of scheme are listed as changes of scheme. Then
    the best repair is kept and the next measured on top of it, until nothing more is gained.

    This is what [cyan]qdiag diagnose[/] does, without the sweeps over layers and without the report; --json
    writes a diagnosis that [cyan]qdiag report[/], [cyan]compare[/] and [cyan]gate[/] read.
    """
    stdout_is_taken = check_single_stdout(json, None)
    check_drawn(data, model)
    resolved = scheme.resolved
    with running(run, seed=data.seed, is_divided=True) as session:
        from qdiag.pipeline.diagnose import DiagnoseOptions

        experiment = open_experiment(session, model, data, resolved, task, None, scheme.set_ or ())
        words = option_words(model, data, scheme, task, is_quantized=experiment.deployed is not None)
        options = DiagnoseOptions(
            with_sensitivity=False, with_bits=False, raises=run.debug, words=words, is_exhaustive=exhaustive
        )
        result, _ = run_diagnosis(session, experiment, options, run)
        session.processes.leave_to_first()
        write_diagnosis(session, result, None, json)
        if plot is not None:
            from qdiag.writers.plots.drawing.figure import save_figure
            from qdiag.writers.plots.waterfall import waterfall_figure

            save_figure(waterfall_figure(result), plot)
    if not stdout_is_taken:
        from qdiag.cli.tables.ranking import print_ranking

        print_ranking(stdout_console(), result)
    tell_times(session.progress, quiet=run.quiet)
