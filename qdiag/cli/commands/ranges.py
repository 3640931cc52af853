"""`qdiag ranges`: where do the values lie?"""

from qdiag.cli.console import make_progress, stdout_console
from qdiag.cli.inputs import DataOptions, ModelOptions, open_data, open_subject
from qdiag.cli.options.choices import Device
from qdiag.cli.options.common import (
    ArchOption,
    BatchSizeOption,
    ChannelOrderOption,
    CropOption,
    CsvOption,
    DataOption,
    DebugOption,
    DeviceOption,
    InputShapeOption,
    JsonOption,
    MeanOption,
    ModelArgument,
    NoFoldOption,
    PixelScaleOption,
    PlotOption,
    PresetOption,
    QuietOption,
    ResizeOption,
    SamplesOption,
    SeedOption,
    StdOption,
    SubmoduleOption,
    TrustOption,
)
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.process import prepare_process
from qdiag.cli.tables.ranges import print_ranges

RANGES_EPILOG = """
[bold]Examples[/]

[cyan]qdiag ranges net.pt2 --data photos/ --preset imagenet --plot ranges.png[/]

Weights as they are stored, BatchNorm not folded in:  [cyan]qdiag ranges net.pt2 --data photos/ --no-fold[/]

[bold]Exit codes[/]

0 the table was made;  2 wrong usage, or a model or data that cannot be judged;  130 interrupted.
"""


def ranges(
    model: ModelArgument,
    arch: ArchOption = None,
    trust: TrustOption = False,
    submodule: SubmoduleOption = None,
    input_shape: InputShapeOption = None,
    data: DataOption = None,
    preset: PresetOption = None,
    resize: ResizeOption = None,
    crop: CropOption = None,
    pixel_scale: PixelScaleOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    channel_order: ChannelOrderOption = None,
    samples: SamplesOption = None,
    seed: SeedOption = 0,
    no_fold: NoFoldOption = False,
    batch_size: BatchSizeOption = 16,
    device: DeviceOption = Device.AUTO,
    json: JsonOption = None,
    csv: CsvOption = None,
    plot: PlotOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
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
    del debug  # read by main()
    stdout_is_taken = check_single_stdout(json, csv)
    prepare_process()
    progress = make_progress(quiet=quiet)
    model_options = ModelOptions(model, arch, trust, submodule, input_shape)
    data_options = DataOptions(
        data=data,
        preset=preset,
        resize=resize,
        crop=crop,
        pixel_scale=pixel_scale,
        mean=mean,
        std=std,
        channel_order=channel_order,
        samples=samples,
        seed=seed,
        batch_size=batch_size,
    )
    try:
        subject = open_subject(model_options)
        datasets = open_data(data_options, model_options, subject, progress)
        from qdiag.pipeline.ranges import range_subject

        report = range_subject(
            subject, datasets, fold_batchnorm=not no_fold, device=device.value, seed=seed, progress=progress
        )
    finally:
        progress.finish()
    from qdiag.files.atomic import write_file

    if json is not None:
        from qdiag.writers.json.results import result_to_json

        write_file(json, result_to_json(report))
    if csv is not None:
        from qdiag.writers.csv.layers import range_csv

        write_file(csv, range_csv(report))
    if plot is not None:
        from qdiag.writers.plots.figure import save_figure
        from qdiag.writers.plots.ranges import ranges_figure

        save_figure(ranges_figure(report), plot)
    if not stdout_is_taken:
        print_ranges(stdout_console(), report)
