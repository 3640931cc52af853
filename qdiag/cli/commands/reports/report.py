"""`qdiag report`: draw a stored diagnosis again, without the model."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from qdiag.cli.console import stdout_console
from qdiag.cli.options.common import DebugOption, QuietOption
from qdiag.cli.options.diagnosis import DiagnosisArgument
from qdiag.cli.options.panels import output_option
from qdiag.cli.options.roles import Reads, Writes, redrawn_files, result_files
from qdiag.cli.waiting.watched_run import make_progress, run_stage, shown, tell_times
from qdiag.errors import ConfigError

REPORT_EPILOG = """
[bold]Examples[/]

[cyan]qdiag report diagnosis.json -o reports/run1[/]

Before and after a repair, with a switch in the HTML:
[cyan]qdiag report after/diagnosis.json --before before/diagnosis.json -o reports/repaired[/]

The text alone, for a pull request:  [cyan]qdiag report reports/run1 -o out --format md[/]

[bold]Exit codes[/]

0 The report was written;  2 The usage is wrong, there is no diagnosis, or a file cannot be written;  130 The
command was interrupted.
"""


class ReportFormat(str, Enum):
    """Names of `qdiag.writers.report_dir.REPORT_PARTS`; typer takes no list of a `Literal`."""

    JSON = "json"
    MD = "md"
    HTML = "html"
    CSV = "csv"
    PNG = "png"
    SVG = "svg"


FolderOption = Annotated[
    Path,
    output_option(
        "--out",
        "-o",
        metavar="DIR",
        show_default=False,
        help="Write the report into this folder, which is made where it is missing.",
    ),
    Writes(redrawn_files),
]
BeforeOption = Annotated[
    Path | None,
    typer.Option(
        "--before",
        metavar="DIAGNOSIS",
        help="Let report.html switch between this diagnosis and DIAGNOSIS, as before and after.",
    ),
    Reads(result_files),
]
FormatOption = Annotated[
    list[ReportFormat] | None,
    output_option(
        "--format",
        show_default="all but png and svg",
        help="Write this format. The option can be repeated. png and svg are the plots as files.",
    ),
]


def report(
    diagnosis: DiagnosisArgument,
    output: FolderOption,
    before: BeforeOption = None,
    format_: FormatOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Write the report of a stored diagnosis again, without the model.

    The folder gets diagnosis.json, report.md, report.html and layers.csv, as `qdiag diagnose -o` writes
    them. The reports begin with what quantization costs, why, and the commands that repair it.

    With --format png or svg, plots/ gets every picture as a file.
    """
    del debug  # read by main()
    from qdiag.writers.json.diagnosis import read_diagnosis

    if output.exists() and not output.is_dir():
        raise ConfigError("is a file, not a folder", at=f"-o {output}", hint="name a folder, new or not")
    progress = make_progress(quiet=quiet)
    from qdiag.results.scheme_files import write_scheme_files

    found = write_scheme_files(read_diagnosis(diagnosis), output)
    earlier = read_diagnosis(before) if before is not None else None
    from qdiag.reading.words.causes import headline
    from qdiag.writers.report_dir import REPORT_PARTS, write_report

    wanted = {part.value for part in format_} if format_ else {*REPORT_PARTS} - {"png", "svg"}
    if _is_drawn_in_place(diagnosis, output):  # it lies there already, and a run does not write over what it reads
        wanted.discard("json")
    parts = [part for part in REPORT_PARTS if part in wanted]
    with shown(progress), run_stage(progress, "report"):
        written = write_report(
            found, output, before=earlier, parts=parts, progress=lambda name: progress.start(name, None)
        )
    console = stdout_console()
    console.print(headline(found), markup=False, highlight=False, soft_wrap=not console.is_terminal)
    for path in written:
        if path.parent == output:
            console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    pictures = sum(path.parent != output for path in written)
    if pictures:
        console.print(f"{output / 'plots'}: {pictures} pictures", markup=False, highlight=False, soft_wrap=True)
    tell_times(progress, quiet=quiet)


def _is_drawn_in_place(diagnosis: "str | Path", output: Path) -> bool:
    """Whether the diagnosis is the one in the folder of the report."""
    from qdiag.writers.json.diagnosis import FILE_NAME, diagnosis_file

    own = output / FILE_NAME
    return own.exists() and own.samefile(diagnosis_file(diagnosis))
