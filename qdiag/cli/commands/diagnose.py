"""`qdiag diagnose`: why does the network lose accuracy, and what repairs it?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qdiag.cli.console import Stopwatch, make_progress, remark, stdout_console
from qdiag.cli.inputs import DataOptions, ModelOptions, open_data, open_subject, resolve_scheme
from qdiag.cli.options.choices import Device
from qdiag.cli.options.common import (
    OUTPUT,
    RUN,
    DebugOption,
    DeviceOption,
    JsonOption,
    MetricOption,
    NoCacheOption,
    NoFoldOption,
    QuietOption,
    SchemeOption,
    SetOption,
    VerboseOption,
)
from qdiag.cli.options.expand import expand
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.roles import Writes, report_files
from qdiag.cli.options.words import option_words
from qdiag.cli.process import prepare_process
from qdiag.cli.resume import resumable
from qdiag.cli.tables.cost_words import diagnosis_cost_words
from qdiag.config import DEFAULT_PRESET

if TYPE_CHECKING:
    from qdiag.core.diagnosis import Diagnosis
    from qdiag.core.scheme import QuantScheme
    from qdiag.pipeline.diagnose import DiagnoseOptions
    from qdiag.simulate.case import Case
    from qdiag.simulate.passes.pass_cache import PassCache

DIAGNOSE_EPILOG = """
[bold]Examples[/]

All there is to say, as a report:  [cyan]qdiag diagnose net.pt2 --data photos/ --preset imagenet -o reports/run1[/]

One scale per weight tensor:  [cyan]qdiag diagnose net.pt2 --data photos/ --scheme tf-uint8 -o reports/uint8[/]

Causes only, in less time:  [cyan]qdiag diagnose net.pt2 --data photos/ --no-sensitivity --no-bits[/]

[bold]Exit codes[/]

0 the diagnosis was made, whatever it says (to fail on it: [cyan]qdiag gate[/]);  2 wrong usage, or a model or
data that cannot be judged;  130 interrupted: the same command goes on where it was.
"""

ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Write diagnosis.json, report.md, report.html, layers.csv and plots/ there.",
        rich_help_panel=OUTPUT,
    ),
    Writes(report_files),
]
SensitivityOption = Annotated[
    bool,
    typer.Option("--sensitivity/--no-sensitivity", help="Also quantize each layer alone.", rich_help_panel=RUN),
]
BitsOption = Annotated[bool, typer.Option("--bits/--no-bits", help="Also measure 4 to 16 bits.", rich_help_panel=RUN)]


@expand
def diagnose(
    model: ModelOptions,
    data: DataOptions,
    out: ReportOption = None,
    scheme: SchemeOption = DEFAULT_PRESET,
    set_: SetOption = None,
    no_fold: NoFoldOption = False,
    metric: MetricOption = None,
    device: DeviceOption = Device.AUTO,
    no_cache: NoCacheOption = False,
    sensitivity: SensitivityOption = True,
    bits: BitsOption = True,
    json: JsonOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    debug: DebugOption = False,
) -> None:
    """Find out why a network loses accuracy when it is quantized, and what repairs it.

    Measures every layer, looks for the faults that [cyan]qdiag explain[/] lists, and tries the
    repairs of each: alone, on a copy, on the same images. A fault is called a cause only when
    its repair gave accuracy back, beyond noise, and more than the same repair made elsewhere
    (the placebo). Then the best repairs are made one after another, until nothing more is gained.

    Without labels, agreement with the float network's top-1 takes the place of accuracy.
    The model is read, never changed; what repairs it is printed at the end.
    """
    stdout_is_taken = check_single_stdout(json, None)
    resolved = resolve_scheme(scheme, set_ or (), weights_only=False, activations_only=False, no_fold=no_fold)
    prepare_process()
    from qdiag.pipeline.diagnose import DiagnoseOptions

    options = DiagnoseOptions(
        with_sensitivity=sensitivity,
        with_bits=bits,
        seed=data.seed,
        raises=debug,
        words=option_words(model, data, scheme, set_ or (), no_fold=no_fold),
    )
    watch = Stopwatch()
    with resumable(no_cache=no_cache, quiet=quiet) as cache:
        result = run_diagnosis(
            model, data, resolved, options, device=device, metric=metric, cache=cache, quiet=quiet, verbose=verbose
        )
        write_diagnosis(result, out, json, quiet=quiet)
    if not stdout_is_taken:
        from qdiag.cli.tables.ranking import print_ranking

        print_ranking(stdout_console(), result)
    if out is not None:
        remark(f"report: {out}/report.html, {out}/report.md", quiet=quiet)
    stages = ", ".join(f"{stage.stage} {stage.elapsed_s:.1f}" for stage in result.stages)
    remark(f"{watch.elapsed_s:.1f} s ({stages})", quiet=quiet)


def run_diagnosis(
    model: ModelOptions,
    data: DataOptions,
    scheme: "QuantScheme",
    options: "DiagnoseOptions",
    *,
    device: Device,
    metric: str | None,
    quiet: bool,
    verbose: bool = False,
    cache: "PassCache | None" = None,
) -> "Diagnosis":
    """Opens model and data, says what it will cost, and diagnoses.

    Raises:
        QdiagError: something cannot be used; says what, where and what to do.
    """
    progress = make_progress(quiet=quiet, verbose=verbose)
    try:
        subject = open_subject(model)
        function = None
        if metric is not None:
            from qdiag.loaders.python_ref import load_object

            function = load_object(metric)
        datasets = open_data(data, model, subject, progress)
        from qdiag.pipeline.diagnose import diagnose_subject

        def announce(case: "Case") -> None:
            remark(diagnosis_cost_words(case, options), quiet=quiet)

        return diagnose_subject(
            subject,
            datasets,
            scheme,
            device=device.value,
            metric=function,
            options=options,
            progress=progress,
            announce=None if quiet else announce,
            cache=cache,
        )
    finally:
        progress.finish()


def write_diagnosis(result: "Diagnosis", out: Path | None, json: "str | Path | None", *, quiet: bool) -> None:
    """Writes the report and the JSON that were asked for.

    Raises:
        WriteError: one of them cannot be written.
    """
    if json is not None:
        from qdiag.files.atomic import write_file
        from qdiag.writers.json.diagnosis import diagnosis_to_json

        write_file(json, diagnosis_to_json(result))
    if out is not None:
        from qdiag.writers.report_dir import write_report

        progress = make_progress(quiet=quiet)
        progress.start("report", None)
        try:
            write_report(result, out)
        finally:
            progress.finish()
