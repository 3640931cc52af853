"""`qdiag diagnose`: why does the network lose accuracy, and what repairs it?"""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from qdiag.cli.console import remark, stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_experiment
from qdiag.cli.options.common import ExhaustiveOption, JsonOption, Plots, PlotsOption, QuantizedOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.panels import output_option, run_option
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.roles import Writes, report_files
from qdiag.cli.options.scheme import PARTS, SchemeOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.options.training import RankedTrainingOptions
from qdiag.cli.options.words import option_words
from qdiag.cli.ranked_training import open_ranked_training
from qdiag.cli.repaired_file import check_quantized_target
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.cost_words import announce
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.files.atomic import write_file
from qdiag.reading.words.commands.shell import as_argument, command_line

if TYPE_CHECKING:
    from qdiag.core.diagnosis import Diagnosis
    from qdiag.pipeline.begin import Experiment
    from qdiag.pipeline.deployed.repaired import RepairedFile
    from qdiag.pipeline.diagnose import DiagnoseOptions
    from qdiag.simulate.session import Session

DIAGNOSE_EPILOG = """
[bold]Examples[/]

All there is to say, as a report:  [cyan]qdiag diagnose net.pt2 --data photos/ --preset imagenet -o reports/run1[/]

One scale per weight tensor:  [cyan]qdiag diagnose net.pt2 --data photos/ --scheme tf-uint8 -o reports/uint8[/]

Causes only, in less time:  [cyan]qdiag diagnose net.pt2 --data photos/ --no-sensitivity --no-bits[/]

A file that was quantized elsewhere:  [cyan]qdiag diagnose net.onnx --quantized int8.onnx --data photos/[/]

[bold]Exit codes[/]

0 The diagnosis was made, whatever it says (to fail on it: [cyan]qdiag gate[/]);  2 The usage is wrong, or the model
or the data cannot be judged;  130 The command was interrupted: the same command goes on where it was.
"""

ReportOption = Annotated[
    Path | None,
    output_option("--out", "-o", metavar="DIR", help="Write the report and diagnosis.json into this folder."),
    Writes(report_files),
]
RepairedOption = Annotated[
    Path | None,
    output_option(
        "--repaired",
        metavar="FILE",
        help="Write the quantized file with the repairs that help, in its own format.",
    ),
    Writes(),
]
ReplaceOption = Annotated[bool, output_option("--force", help="Replace the file of --repaired if it is there.")]
SensitivityOption = Annotated[
    Literal["some", "exact"],
    run_option(
        "--sensitivity",
        help="Quantize some layers alone, or exactly all. Some are those that an estimate puts on top and a "
        "few drawn at random.",
    ),
]
NoSensitivityOption = Annotated[bool, run_option("--no-sensitivity", help="Do not measure each layer alone.")]
LossesOption = Annotated[
    Literal["some", "full"],
    run_option(
        "--losses",
        help="Measure the five losses of every layer on some samples, or on all. Some are as many as the losses need.",
    ),
]
BitsOption = Annotated[
    bool,
    run_option(
        "--bits/--no-bits", help="Also measure other bit widths, until it is known where the network begins to fail."
    ),
]


@partial(expand, without=PARTS)
def diagnose(
    model: ModelOptions,
    data: DataOptions,
    scheme: SchemeOptions,
    task: TaskOptions,
    training: RankedTrainingOptions,
    quantized: QuantizedOption = None,
    repaired: RepairedOption = None,
    force: ReplaceOption = False,
    out: ReportOption = None,
    exhaustive: ExhaustiveOption = False,
    sensitivity: SensitivityOption = "some",
    no_sensitivity: NoSensitivityOption = False,
    losses: LossesOption = "some",
    bits: BitsOption = True,
    plots: PlotsOption = "none",
    json: JsonOption = None,
    *,
    run: RunOptions,
) -> None:
    """Find out why quantization costs accuracy, and what repairs it.

    Every fault that is found is repaired on a copy and measured again. It is called a cause only when
    that recovers accuracy on your data, and more than the same repair made elsewhere (the placebo).

    The faults are those that [cyan]qdiag explain[/] lists. Each repair is first made alone, on the same
    images; then the best repairs are made one after another, until nothing more is gained.

    The labels tell what the network does, or --task, or a --metric of your own; without any of them, the
    names of its outputs. A classifier without labels is judged by its agreement with the float network,
    and any other network without them by the SQNR of its outputs. The model is read, never changed;
    the commands that repair it are printed at the end.

    With --train MINUTES, training is tried as a repair as well, where the others leave a loss.
    """
    stdout_is_taken = check_single_stdout(json, None)
    check_drawn(data, model)
    training.check(data)
    check_quantized_target(repaired, quantized or model.model, force=force)
    resolved = scheme.resolved
    with running(run, seed=data.seed, is_divided=True) as session:
        from qdiag.pipeline.diagnose import DiagnoseOptions

        experiment = open_experiment(session, model, data, resolved, task, quantized, scheme.set_ or ())
        options = DiagnoseOptions(
            with_sensitivity=not no_sensitivity,
            with_bits=bits,
            raises=run.debug,
            words=option_words(model, data, scheme, task, quantized, is_quantized=experiment.deployed is not None),
            is_exhaustive=exhaustive,
            exact_layers=sensitivity == "exact",
            full_losses=losses == "full",
            training=open_ranked_training(session, experiment, training, model, data, task),
        )
        result, file = run_diagnosis(session, experiment, options, run, plots=None if out is None else plots)
        session.processes.leave_to_first()
        error = None
        if repaired is not None and file is not None:
            from qdiag.pipeline.deployed.repaired import with_repaired_file

            result, error = with_repaired_file(session, experiment, file, repaired, result)
        result = write_diagnosis(session, result, out, json, plots)
    if not stdout_is_taken:
        from qdiag.cli.tables.ranking import print_ranking

        print_ranking(stdout_console(), result, has_report=out is not None)
    if error is not None:
        raise error
    if repaired is not None:
        remark(_repaired_words(result), quiet=run.quiet)
    remark(_report_words(out, is_kept=not run.no_cache), quiet=run.quiet)
    tell_times(session.progress, quiet=run.quiet)


def _repaired_words(result: "Diagnosis") -> str:
    """Where the repaired file is, or why there is none."""
    if result.repaired_file:
        return f"The repaired file is {result.repaired_file}."
    return next((f"{note[:1].upper()}{note[1:]}." for note in result.notes if note.startswith("no repaired file")), "")


def _report_words(out: Path | None, *, is_kept: bool) -> str:
    """Where the report is and what opens it, or how to get one."""
    if out is not None:
        view = command_line(["view", as_argument(str(out))])
        return f"The report is in {out}/report.html and {out}/report.md; {view} opens it."
    kept = ", which reads the finished passes from the cache" if is_kept else ""
    return f"For a report with every layer and plots, add -o reports/run1 to the same command{kept}."


def run_diagnosis(
    session: "Session",
    experiment: "Experiment",
    options: "DiagnoseOptions",
    run: RunOptions,
    *,
    plots: Plots | None = None,
) -> "tuple[Diagnosis, RepairedFile | None]":
    """Says what it will cost, and diagnoses; with what changes in the quantized file, where there is one.

    Args:
        plots: the format of the pictures of a report; None where no report is written.

    Raises:
        QdiagError: something cannot be used; says what, where and what to do.
    """
    from qdiag.pipeline.deployed.repaired import diagnose_file

    if not run.quiet:
        from qdiag.pipeline.estimate import estimate

        with session.watch.told("estimate the time"):
            pictures_s = _pictures_s(len(experiment.case.network.graph.layers), plots)
            cost = estimate(session, experiment.case, options, with_report=plots is not None, pictures_s=pictures_s)
        announce(session, cost)
        options = replace(options, rank_without_harm_s=cost.healthy["rank"])
    return diagnose_file(session, experiment, options)


def _pictures_s(layer_count: int, plots: Plots | None) -> float:
    if plots is None or plots == "none":
        return 0.0
    from qdiag.writers.plots.drawing.drawing_time import drawing_seconds

    return drawing_seconds(layer_count) / 2.0  # in one of two formats


def write_diagnosis(
    session: "Session", result: "Diagnosis", out: Path | None, json: "str | Path | None", plots: Plots = "none"
) -> "Diagnosis":
    """Writes the report and the JSON that were asked for, with pictures as files where a format is given.

    The diagnosis that is returned knows the files of the schemes that it proposes.

    Raises:
        WriteError: one of them cannot be written.
    """
    with session.stage("report") if out is not None or json is not None else nullcontext():
        if out is not None:
            from qdiag.results.scheme_files import write_scheme_files

            result = write_scheme_files(result, out)
        if json is not None:
            from qdiag.writers.json.diagnosis import diagnosis_to_json

            write_file(json, diagnosis_to_json(result))
        if out is not None:
            from qdiag.writers.report_dir import REPORT_PARTS, write_report

            parts = [part for part in REPORT_PARTS if part not in ("png", "svg") or part == plots]
            write_report(result, out, parts=parts)
    return result
