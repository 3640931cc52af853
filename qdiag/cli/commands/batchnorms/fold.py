"""`qdiag fold`: where BatchNorms go, what that does to the output, and which clamps share a quantizer."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_data, open_subject
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import JsonOption, OrderOption, TopOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.panels import file_option, output_option
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.roles import Writes
from qdiag.cli.options.scheme import PARTS, SchemeOptions
from qdiag.cli.repaired_file import save_repaired
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.fold import print_fold
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.errors import ConfigError
from qdiag.files.atomic import check_writable, write_file

FOLD_EPILOG = """
[bold]Examples[/]

[cyan]qdiag fold net.pt2 --data photos/ --preset imagenet[/]

Without data, and the folded network as a file:  [cyan]qdiag fold net.pt2 -o folded.pt2[/]

A state dict:  [cyan]qdiag fold net.pth --arch zoo:mobilenet_v1 --input-shape 1,3,224,224[/]

[bold]Exit codes[/]

0 The tables were made;  2 The usage is wrong, or the model or the data cannot be judged;  130 The command was
interrupted.
"""

FoldedOption = Annotated[
    Path | None,
    output_option(
        "--out", "-o", metavar="FILE.pt2", help="Write the folded network to this file, as a program of torch.export."
    ),
    Writes(),
]
ReplaceOption = Annotated[bool, output_option("--force", help="Replace FILE.pt2 if it is there.")]
FoldCsvOption = Annotated[
    str | None,
    file_option(
        "--csv", help="Write one row per BatchNorm and per activation as CSV; - prints it instead of the tables."
    ),
    Writes(),
]


@partial(expand, without=(*PARTS, "arithmetic", "no_fold", "targets"))
def fold(
    model: ModelOptions,
    data: DataOptions,
    scheme: SchemeOptions,
    output: FoldedOption = None,
    force: ReplaceOption = False,
    order: OrderOption = "graph",
    top: TopOption = None,
    json: JsonOption = None,
    csv: FoldCsvOption = None,
    *,
    run: RunOptions,
) -> None:
    """Show how BatchNorms fold, and which clamps share a quantizer.

    Backends fold BatchNorm into the convolution or linear layer beside it before they quantize, and let
    a convolution and its ReLU share one quantizer.

    The folded network is compared with the one that was read, in float, on --data or on drawn inputs.
    Every BatchNorm that cannot be folded exactly, and every clamp that shares no quantizer, is listed
    with the reason. The model is read, never changed.

    [bold]How to read the tables[/]

    [cyan]gain[/]             |gamma| / sqrt(variance + eps), over the channels.
    [cyan]weight[/]           Largest |weight| of the layer, before and with all that it
                     took in.
    [cyan]output change[/]    Largest difference behind layer and BatchNorm, from the same
                     input.
    [cyan]over its largest[/] The same over the largest value there.
    [cyan]step before[/]      Step of a quantizer before the clamp, over that of the shared
                     one.
    [cyan]clamp is free[/]    The integers end at the bounds: nothing has to compute the
                     clamp.
    """
    stdout_is_taken = check_single_stdout(json, csv)
    check_drawn(data, model)
    if output is not None:
        _check_target(model, output, force=force)
    resolved = scheme.resolved
    with running(run, seed=data.seed) as session:
        from qdiag.pipeline.folding.fold import fold_network, folded_subject

        subject = open_subject(model)
        folded = fold_network(session, subject, open_data(data, model, subject, session), resolved)
        report = folded.report
        if output is not None:
            made = folded_subject(session, folded)
            save_repaired(made, {}, output, None, trust=model.trust, force=force, in_place=False)
            report = replace(report, written_to=str(output))
    write_result(json, report)
    if csv is not None:
        from qdiag.writers.csv.fold import fold_csv

        write_file(csv, fold_csv(report))
    if not stdout_is_taken:
        print_fold(stdout_console(), report, order, top)
    tell_times(session.progress, quiet=run.quiet)


def _check_target(model: ModelOptions, out: Path, *, force: bool) -> None:
    """What would stop the writing is found before the run.

    Raises:
        ConfigError: a format that cannot hold it, or a part of a network. WriteError: no file can be written there.
    """
    from qdiag.savers.save import check_target

    if out.suffix != ".pt2":
        raise ConfigError(
            f"{out.name} would be read with code that builds the BatchNorms again",
            at="-o",
            hint="end the name in .pt2: a program holds the folded network as well as its weights",
        )
    if model.submodule is not None:
        raise ConfigError("a part of a network is not written", at="--submodule", hint="leave -o away")
    check_writable(out)
    check_target(model.model, out, force=force)
