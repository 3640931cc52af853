"""`qdiag bn`: what do the BatchNorms do to the weights?"""

from functools import partial
from typing import Annotated

from qdiag.cli.console import stdout_console
from qdiag.cli.inputs import ModelOptions, open_subject_or_tensors
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import DebugOption, JsonOption, OrderOption, PlotOption, QuietOption, TopOption
from qdiag.cli.options.expand import expand
from qdiag.cli.options.panels import file_option, model_option, output_option
from qdiag.cli.options.parse import check_single_stdout
from qdiag.cli.options.roles import Writes
from qdiag.cli.tables.bn import print_audit
from qdiag.files.standard_output import prints_to_stderr

BN_EPILOG = """
[bold]Examples[/]

[cyan]qdiag bn net.pt2 --plot bn.png[/]

A state dict with its network:  [cyan]qdiag bn net.pth --arch zoo:mobilenet_v1[/]

A state dict without its network:  [cyan]qdiag bn net.pth --eps 1e-3[/]

[bold]Exit codes[/]

0 The table was made;  2 The usage is wrong, or the model cannot be judged;  130 The command was interrupted.
"""

EpsOption = Annotated[
    float | None,
    model_option(
        "--eps",
        metavar="NUMBER",
        show_default="1e-5, torch's own; Keras and TensorFlow have 1e-3",
        help="Give the eps of the BatchNorms of a state dict without --arch.",
    ),
]
BitsOption = Annotated[
    int, output_option("--bits", metavar="N", min=2, max=16, help="Give the bit width of the weights.")
]
ChannelCsvOption = Annotated[
    str | None,
    file_option("--csv", help="Write one row per channel as CSV; - prints it instead of the table."),
    Writes(),
]


@partial(expand, without=("input_shape",))
def bn(
    model: ModelOptions,
    eps: EpsOption = None,
    bits: BitsOption = 8,
    order: OrderOption = "worst",
    top: TopOption = None,
    json: JsonOption = None,
    csv: ChannelCsvOption = None,
    plot: PlotOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Show what every BatchNorm does to the weights, and dead channels.

    It needs no data, and no network for a state dict: layers are then found by name and shape, and the
    table says how sure that is.

    [bold]How to read the table[/]

    [cyan]dead[/]             Channels that their own variance says are constant.
    [cyan]gain[/]             |gamma| / sqrt(variance + eps): what the fold multiplies a
                     weight by.
    [cyan]dead/live range[/]  Largest folded weight of the dead channels over that of the
                     live ones; above 1 the dead channels set the range of the
                     layer. A huge gain on a tiny weight stays below.
    [cyan]costs[/]            Bits that the widest channels cost the rest when all share
                     one scale.
    [cyan]median left[/]      Bits that the median live channel has left.
    [cyan]~  ?[/]             The layer is likely, or guessed: no graph says so.
    """
    del debug, quiet  # read by main(); there is nothing to be quiet about
    stdout_is_taken = check_single_stdout(json, csv)
    from qdiag.pipeline.bn_audit import ASSUMED_EPS, audit_batchnorms

    with prints_to_stderr():
        audit = audit_batchnorms(
            open_subject_or_tensors(model), bits=bits, assumed_eps=ASSUMED_EPS if eps is None else eps
        )
    from qdiag.files.atomic import write_file

    write_result(json, audit)
    if csv is not None:
        from qdiag.writers.csv.bn import bn_csv

        write_file(csv, bn_csv(audit))
    if plot is not None:
        from qdiag.writers.plots.bn import bn_figure
        from qdiag.writers.plots.drawing.figure import save_figure

        save_figure(bn_figure(audit), plot)
    if not stdout_is_taken:
        print_audit(stdout_console(), audit, order, top)
