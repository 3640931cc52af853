"""`qdiag ranges`: where do the values lie?"""

from functools import partial

from qdiag.cli.console import remark, stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_data, open_subject
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import (
    CsvOption,
    JsonOption,
    NoFoldOption,
    PlotOption,
    RangesFileOption,
    SetOption,
    ShownSchemeOption,
)
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.scheme import SchemeOptions
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.ranges import print_ranges
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.config import DEFAULT_PRESET
from qdiag.core.listed import count_noun, listed

RANGES_EPILOG = """
[bold]Examples[/]

[cyan]qdiag ranges net.pt2 --data photos/ --preset imagenet --plot ranges.png[/]

Weights as they are stored, BatchNorm not folded in:  [cyan]qdiag ranges net.pt2 --data photos/ --no-fold[/]

What the steps of a scheme make of them:  [cyan]qdiag ranges net.pt2 --data photos/ --scheme w4a8[/]

For a runtime, in place of calibrating there:  [cyan]qdiag ranges net.onnx --data photos/ -o ranges.json[/]

[bold]Exit codes[/]

0 The table was made;  2 The usage is wrong, or the model or the data cannot be judged;  130 The command was
interrupted.
"""


@partial(expand, without=("calib_data", "calib_samples", "targets"))
def ranges(
    model: ModelOptions,
    data: DataOptions,
    scheme: ShownSchemeOption = None,
    set_: SetOption = None,
    no_fold: NoFoldOption = False,
    json: JsonOption = None,
    csv: CsvOption = None,
    plot: PlotOption = None,
    output: RangesFileOption = None,
    *,
    run: RunOptions,
) -> None:
    """Show where the values of every weight and layer output lie.

    The network runs in float, with BatchNorm folded as a backend folds it. With --scheme, the quantizers
    of that scheme stand beside the ranges, calibrated on the same samples.

    With --no-fold the weights are shown as they are stored.

    [bold]How to read the table[/]

    [cyan]0.1 % to 99.9 %[/]  Percentiles. A maximum far beyond 99.9 % means that
                     a few values set the scale.
    [cyan]kurtosis[/]         3 for a Gaussian, larger with outliers.
    [cyan]spread[/]           Bits that the median channel loses to the widest one
                     when all channels share one scale.
    [cyan]quantized[/]        With --scheme: what the quantizer can represent, of the
                     widest channel where each has its own, and the step at 0.
    [cyan]median[/]           With --scheme: bits that the median channel has, where
                     all channels share one quantizer.
    """
    stdout_is_taken = check_single_stdout(json, csv)
    check_drawn(data, model)
    is_shown = scheme is not None or bool(set_)
    resolved = SchemeOptions(scheme or DEFAULT_PRESET, set_, no_fold=no_fold).resolved
    with running(run, seed=data.seed, is_divided=True) as session:
        from qdiag.pipeline.ranges import range_subject

        subject = open_subject(model)
        datasets = open_data(data, model, subject, session)
        report = range_subject(session, subject, datasets, resolved, with_quantizers=is_shown)
        session.processes.leave_to_first()
    from qdiag.files.atomic import write_file

    write_result(json, report)
    if output is not None:
        from qdiag.writers.calibration.caches import calibration_cache

        write_file(output, calibration_cache(report, output))
    if csv is not None:
        from qdiag.writers.csv.layers import range_csv

        write_file(csv, range_csv(report))
    if plot is not None:
        from qdiag.writers.plots.drawing.figure import save_figure
        from qdiag.writers.plots.ranges import ranges_figure

        save_figure(ranges_figure(report), plot)
    if not stdout_is_taken:
        print_ranges(stdout_console(), report)
    if output is not None:
        from qdiag.writers.calibration.caches import output_bounds

        named = any(record.tensor_name for record in report.records)
        names = "by the names of tensors" if named else "by the names of layers, since no ONNX file was read"
        count = count_noun(len(output_bounds(report)), "output")
        remark(f"The ranges of {count} are written to {output}, {names}.", quiet=run.quiet)
        unknown = [name for record in report.records for name in record.not_measured]
        if unknown and output.endswith(".json"):
            absent = (
                f"Of {count_noun(len(unknown), 'tensor')} inside of layers no range is known: {listed(unknown, 3)}."
            )
            remark(f"{absent} onnxruntime may ask for it; --no-fold measures what BatchNorms read.", quiet=run.quiet)
    tell_times(session.progress, quiet=run.quiet)
