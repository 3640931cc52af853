"""`qdiag sqnr`: where does the signal get lost?"""

from dataclasses import replace

from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_experiment
from qdiag.cli.options.common import (
    AllSamplesOption,
    CsvOption,
    JsonOption,
    LossesOption,
    OrderOption,
    PlotOption,
    QuantizedOption,
    SortOption,
    TopOption,
)
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.scheme import SchemeOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.options.words import option_words
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.sqnr import print_measurement
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.files.atomic import write_file
from qdiag.reading.words.commands.shell import as_argument, command_line

SQNR_EPILOG = """
[bold]Examples[/]

A saved program and a folder of images:  [cyan]qdiag sqnr net.pt2 --data photos/ --preset imagenet[/]

A state dict needs its network:  [cyan]qdiag sqnr net.safetensors --arch zoo:mobilenet_v1 --data photos/ --preset tf[/]

No data at hand:  [cyan]qdiag sqnr net.pt2 --input-shape 1,3,224,224[/]

Which side is it?  [cyan]qdiag sqnr net.pt2 --data photos/ --weights-only[/]

4-bit weights, all kept:  [cyan]qdiag sqnr net.pt2 --data photos/ --set weights.bits=4 --json r.json --plot r.png[/]

A file that was quantized elsewhere:  [cyan]qdiag sqnr net.onnx --quantized int8.onnx --data photos/[/]

[bold]Exit codes[/]

0 The table was made;  2 The usage is wrong, or the model or the data cannot be judged;  130 The command was
interrupted.
"""


@expand
def sqnr(
    model: ModelOptions,
    data: DataOptions,
    scheme: SchemeOptions,
    task: TaskOptions,
    quantized: QuantizedOption = None,
    losses: LossesOption = False,
    exhaustive: AllSamplesOption = False,
    order: OrderOption = "worst",
    sort: SortOption = "local",
    top: TopOption = None,
    json: JsonOption = None,
    csv: CsvOption = None,
    plot: PlotOption = None,
    *,
    run: RunOptions,
) -> None:
    """Show in which layers quantization adds noise.

    The float and the quantized network run side by side on the same inputs. The table has the
    signal-to-quantization-noise ratio (SQNR) of every layer in dB: higher is better, 6 dB are one bit.

    The SQNR is 10 log10 of signal power over noise power. The model is read, never changed.

    [bold]How to read the table[/]

    [cyan]weight[/]         SQNR of the quantized weights, median over output channels.
    [cyan]local[/]          The layer alone: float inputs quantized once, quantized
                   weights, quantized output.
    [cyan]propagated[/]     The same layer inside the quantized network, with all the
                   noise that arrives.
    [cyan]drop[/]           Propagated SQNR of the worst layer that feeds this one,
                   minus its own.
    [cyan]expected[/]       What rounding of the output alone would give:
                   10 log10(12 mean(x²) / scale²).
    [cyan]bias fraction[/]  Share of the local noise that is a constant offset.
    [cyan]clipped[/]        Share of output values outside the quantizer's range.

    [red]>>[/] marks the lowest SQNR. Where local is lowest, noise is made;
    where propagated falls, it has arrived.
    [yellow]![/]  marks a local SQNR more than 20 dB below expected: a hundred times
    the noise that rounding of the output alone would make. [red]>![/] marks both.
    """
    stdout_is_taken = check_single_stdout(json, csv)
    check_drawn(data, model)
    resolved = scheme.resolved
    with running(run, seed=data.seed, is_divided=True) as session:
        from qdiag.pipeline.sqnr import expected_passes, measure_experiment

        brief = replace(session, with_channels=False)
        experiment = open_experiment(brief, model, data, resolved, task, quantized, scheme.set_ or (), repairs=False)
        passes = expected_passes(experiment.case, with_losses=losses, on_all=exhaustive)
        session.expect_passes(experiment.case, {"simulate": passes})
        measurement = measure_experiment(brief, experiment, with_losses=losses, on_all=exhaustive)
        session.processes.leave_to_first()
        if json is not None:
            from qdiag.writers.json.measurement import to_json

            write_file(json, to_json(measurement))
        if csv is not None:
            from qdiag.writers.csv.layers import layer_csv

            write_file(csv, layer_csv(measurement))
        if plot is not None:
            from qdiag.writers.plots.drawing.figure import save_figure
            from qdiag.writers.plots.sqnr import sqnr_figure

            save_figure(sqnr_figure(measurement), plot)
    if not stdout_is_taken:
        is_quantized = measurement.deployed is not None
        words = option_words(model, data, scheme, task, quantized, is_quantized=is_quantized)
        diagnose = command_line(["diagnose", as_argument(model.model), *words])
        print_measurement(stdout_console(), measurement, order, sort, top, diagnose)
    tell_times(session.progress, quiet=run.quiet)
