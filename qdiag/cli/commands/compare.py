"""`qdiag compare`: what got better, and what got worse?"""

from typing import Annotated

import typer

from qdiag.cli.console import stdout_console
from qdiag.cli.json_file import write_result
from qdiag.cli.options.common import DebugOption, JsonOption, PlotOption, QuietOption
from qdiag.cli.options.panels import file_option, output_option
from qdiag.cli.options.parse import ONE_STDOUT
from qdiag.cli.options.roles import Reads, Writes, result_files
from qdiag.cli.tables.compare import TOP, print_comparison
from qdiag.errors import ConfigError
from qdiag.files.atomic import STDOUT

COMPARE_EPILOG = """
[bold]Examples[/]

Before and after a repair:  [cyan]qdiag compare reports/before reports/after[/]

For a pull request:  [cyan]qdiag compare main.json branch.json --markdown comment.md[/]

The error of both by layer, in one picture:  [cyan]qdiag compare reports/repvgg reports/qarepvgg --plot mse.png[/]

Every layer, for a script:  [cyan]qdiag compare reports/int8 reports/w4a8 --json -[/]

[bold]Exit codes[/]

0 The comparison was made, whatever it says;  2 The usage is wrong, or the two cannot be compared;  130 The
command was interrupted.
"""

BeforeArgument = Annotated[
    str,
    typer.Argument(
        metavar="BEFORE",
        help="A stored diagnosis.json, or the folder that qdiag diagnose -o wrote.",
        show_default=False,
    ),
    Reads(result_files),
]
AfterArgument = Annotated[
    str,
    typer.Argument(metavar="AFTER", help="The diagnosis of the other run.", show_default=False),
    Reads(result_files),
]
MinChangeOption = Annotated[
    float,
    typer.Option("--min-change", metavar="DB", min=0.0, help="Take layers whose SQNR changed by less as unchanged."),
]
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Compare although the samples, the metric or the output differ."),
]
MarkdownOption = Annotated[
    str | None, file_option("--markdown", help="Write tables for GitHub; - prints them instead of the table."), Writes()
]
ChangedTopOption = Annotated[
    int | None,
    output_option(
        "--top", metavar="N", min=0, show_default=str(TOP), help="Show N of the layers that changed, or all with 0."
    ),
]


def compare(
    before: BeforeArgument,
    after: AfterArgument,
    min_change: MinChangeOption = 1.0,
    force: ForceOption = False,
    top: ChangedTopOption = None,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
    plot: PlotOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare two stored diagnoses.

    They may be those before and after a repair, of two schemes, or of two checkpoints. The command needs
    neither the models nor the data.

    Layers are matched by name; renamed ones by kind, shape and place. The figure that judges the network
    comes first; where both hold the outcomes of single samples, the difference is judged on pairs.

    [bold]How to read the table[/]

    [cyan]local[/]       SQNR of the layer alone, in dB: where it changed, the layer itself
                makes more noise, or less.
    [cyan]propagated[/]  SQNR inside the quantized network: where only this changed, it is
                the noise that arrives.
    [cyan]~  ?[/]         The layer was renamed; the match is likely, or guessed.
    """
    del debug, quiet  # read by main(); there is nothing to be quiet about
    if json == STDOUT and markdown == STDOUT:
        raise ConfigError("only one of --json and --markdown can go to standard output", hint=ONE_STDOUT)
    from qdiag.compare.diagnoses import compare_diagnoses
    from qdiag.files.atomic import write_file
    from qdiag.writers.json.diagnosis import read_diagnosis

    one, other = read_diagnosis(before), read_diagnosis(after)
    comparison = compare_diagnoses(
        one,
        other,
        source_before=before,
        source_after=after,
        min_change_db=min_change,
        force=force,
    )
    write_result(json, comparison)
    if markdown is not None:
        from qdiag.writers.markdown.compare import comparison_markdown

        write_file(markdown, comparison_markdown(comparison, TOP if top is None else top))
    if plot is not None:
        from qdiag.writers.plots.drawing.figure import save_figure
        from qdiag.writers.plots.two_errors import compared_errors_figure

        save_figure(compared_errors_figure(comparison, one.measurement, other.measurement), plot)
    if STDOUT not in (json, markdown):
        print_comparison(stdout_console(), comparison, top)
