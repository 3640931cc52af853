"""`qdiag branches`: parallel linear branches, the one convolution that replaces them, and what both quantize to."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from qdiag.cli.console import remark, stdout_console
from qdiag.cli.inputs import ModelOptions, check_drawn, open_data, open_subject
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import JsonOption, OrderOption, TopOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.panels import file_option, output_option
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.roles import Writes, branch_files
from qdiag.cli.options.scheme import PARTS, SchemeOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.run import RunOptions, running
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.files.atomic import write_file

if TYPE_CHECKING:
    from qdiag.core.measures.branches import BranchesReport

BRANCHES_EPILOG = """
[bold]Examples[/]

A RepVGG as it was trained:  [cyan]qdiag branches net.pth --arch zoo:repvgg_a0 --data photos/ --preset imagenet[/]

All figures and pictures:  [cyan]qdiag branches net.pt2 --data photos/ -o reports/branches[/]

The fused network as a file:  [cyan]qdiag repair net.pth --arch zoo:repvgg_a0 --with fuse_branches -o fused.pth[/]

[bold]Exit codes[/]

0 The tables were made;  2 The usage is wrong, or the model or the data cannot be judged;  130 The command was
interrupted.
"""

BranchCsvOption = Annotated[
    str | None,
    file_option(
        "--csv", help="Write one row per branch, sum and fused convolution as CSV; - prints it instead of the table."
    ),
    Writes(),
]
BranchFolderOption = Annotated[
    Path | None,
    output_option("--out", "-o", metavar="DIR", help="Write branches.json, branches.csv and plots/ into this folder."),
    Writes(branch_files),
]


@partial(expand, without=PARTS)
def branches(
    model: ModelOptions,
    data: DataOptions,
    scheme: SchemeOptions,
    task: TaskOptions,
    order: OrderOption = "worst",
    top: TopOption = None,
    out: BranchFolderOption = None,
    json: JsonOption = None,
    csv: BranchCsvOption = None,
    *,
    run: RunOptions,
) -> None:
    """Find parallel branches, fuse them, and show what quantizes badly.

    Branches that a sum joins, such as those of RepVGG, MobileOne and YOLOv6, are one convolution when a
    network is deployed. Both networks are quantized and compared.

    Every block is fused exactly. Repairs that need no training are tried on the fused network. The model
    is read, never changed.

    [bold]How to read the tables[/]

    [cyan]C1[/]         Rounding of the fused weight alone: the lower SQNR of the weight's
               median channel and of the block's output.
    [cyan]C2[/]         SQNR of the block's output when its input and this output are
               rounded.
    [cyan]as read[/]    SQNR at the end of the block, inside the quantized network with
               branches.
    [cyan]fused[/]      The same inside the fused network.
    [cyan]sum over[/]   Variance of the sum over the sum of the branches' variances: above
               1 the branches rise and fall together.
    [cyan]alpha[/]      gamma / sqrt(variance + eps) of the branch's BatchNorm.
    [cyan]beta distance[/]  Root mean square of beta + E(identity)/2 over that of
                   E(identity)/2.
    [cyan]verdict[/]    Which condition does not hold, and the branch without which it
               would be better by 6 dB or more; or that fusion takes 3 dB or more
               from the block.
    """
    stdout_is_taken = check_single_stdout(json, csv)
    check_drawn(data, model)
    resolved = scheme.resolved
    with running(run, seed=data.seed) as session:
        from qdiag.pipeline.branches import measure_branches

        subject = open_subject(model)
        report = measure_branches(session, subject, open_data(data, model, subject, session), resolved, task.request)
        write_result(json, report)
        if csv is not None:
            from qdiag.writers.csv.branches import branch_csv

            write_file(csv, branch_csv(report))
        if out is not None:
            with session.stage("report"):
                _write_folder(report, out)
    if not stdout_is_taken:
        from qdiag.cli.tables.branches import print_branches

        print_branches(stdout_console(), report, order, top)
    if out is not None:
        remark(f"The result is in {out}/branches.json, {out}/branches.csv and {out}/plots.", quiet=run.quiet)
    tell_times(session.progress, quiet=run.quiet)


def _write_folder(report: "BranchesReport", folder: Path) -> None:
    """Figures and pictures.

    Raises:
        WriteError: the folder cannot be made, or a file not be written.
    """
    from qdiag.files.folder import make_folder
    from qdiag.writers.csv.branches import branch_csv
    from qdiag.writers.plots.branches.pictures import write_pictures

    make_folder(folder / "plots")
    write_result(str(folder / "branches.json"), report)
    write_file(folder / "branches.csv", branch_csv(report))
    write_pictures(report, folder / "plots")
