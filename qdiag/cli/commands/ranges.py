"""`qdiag ranges`: where do the values lie?"""

from functools import partial

from qdiag.cli.console import Stopwatch, remark, stdout_console
from qdiag.cli.inputs import ModelOptions, open_data, open_subject
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import (
    CsvOption,
    JsonOption,
    NoFoldOption,
    PlotOption,
)
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.ranges import print_ranges
from qdiag.config import DEFAULT_PRESET, load_preset

RANGES_EPILOG = """
[bold]Examples[/]

[cyan]qdiag ranges net.pt2 --data photos/ --preset imagenet --plot ranges.png[/]

Weights as they are stored, BatchNorm not folded in:  [cyan]qdiag ranges net.pt2 --data photos/ --no-fold[/]

[bold]Exit codes[/]

0 the table was made;  2 wrong usage, or a model or data that cannot be judged;  130 interrupted.
"""


@partial(expand, without=("calib_data", "calib_samples", "targets"))
def ranges(
    model: ModelOptions,
    data: DataOptions,
    no_fold: NoFoldOption = False,
    json: JsonOption = None,
    csv: CsvOption = None,
    plot: PlotOption = None,
    *,
    run: RunOptions,
) -> None:
    """Show where the values of every weight and every layer output lie.

    The network runs in float. The weights are those that a backend would quantize,
    with BatchNorm folded in, unless --no-fold is given.

    [bold]How to read the table[/]

    [cyan]0.1 % to 99.9 %[/]  Percentiles. A maximum far beyond 99.9 % means that
                     a few values set the scale.
    [cyan]kurtosis[/]         3 for a Gaussian, larger with outliers.
    [cyan]spread[/]           Bits that the median channel loses to the widest one
                     when all channels share one scale.
    """
    stdout_is_taken = check_single_stdout(json, csv)
    watch = Stopwatch()
    with running(run, seed=data.seed) as session:
        from qdiag.pipeline.ranges import range_subject

        subject = open_subject(model)
        datasets = open_data(data, model, subject, session)
        report = range_subject(session, subject, datasets, load_preset(DEFAULT_PRESET), fold_batchnorm=not no_fold)
    from qdiag.files.atomic import write_file

    write_result(json, report)
    if csv is not None:
        from qdiag.writers.csv.layers import range_csv

        write_file(csv, range_csv(report))
    if plot is not None:
        from qdiag.writers.plots.drawing.figure import save_figure
        from qdiag.writers.plots.ranges import ranges_figure

        save_figure(ranges_figure(report), plot)
    if not stdout_is_taken:
        print_ranges(stdout_console(), report)
    remark(f"{watch.elapsed_s:.1f} s", quiet=run.quiet)
