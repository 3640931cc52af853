"""`qdiag demo`: the whole job on a small network that comes with the package."""

import os
import shlex
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qdiag.cli.commands.diagnose import run_diagnosis, write_diagnosis
from qdiag.cli.console import OwnLines, print_commands, stdout_console
from qdiag.cli.inputs import ModelOptions, open_experiment
from qdiag.cli.options.common import PlotsOption
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.expand import expand
from qdiag.cli.options.roles import Writes, report_files
from qdiag.cli.options.scheme import SchemeOptions
from qdiag.cli.options.words import option_words
from qdiag.cli.run import RunOptions, running
from qdiag.cli.tables.sqnr_header import figure_text
from qdiag.cli.waiting.watched_run import tell_times
from qdiag.config import load_preset
from qdiag.core.measures.measurement import lowest_sqnr_db
from qdiag.errors import WriteError
from qdiag.files.refusal import refusal
from qdiag.reading.words.numbers import decibel_words
from qdiag.reading.words.task.figures import WEAKEST_SQNR

if TYPE_CHECKING:
    from qdiag.core.diagnosis import Diagnosis
    from qdiag.core.measures.measurement import Measurement

DEMO_EPILOG = """
[bold]Examples[/]

[cyan]qdiag demo[/]

Into a folder of your own:  [cyan]qdiag demo --out reports/first[/]

[bold]Exit codes[/]

0 The demo was run;  2 The usage is wrong, or the files cannot be written;  130 The command was interrupted.
"""

FAILING_SCHEME, CONTRAST_SCHEME = "tf-uint8", "int8"

_STORY_WIDTH = 100
_FILES = (
    ("report.html", "the report, one file that opens in a browser"),
    ("report.md", "the same report for an editor or a pull request"),
    ("layers.csv", "every figure of every layer"),
    ("diagnosis.json", "all that was measured, for compare, gate and report"),
    ("scheme.toml", "the change of scheme that is proposed above"),
)

OutOption = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Write the files into this folder."), Writes(report_files)
]


@partial(expand, without=("device",))
def demo(run: RunOptions, out: OutOption = Path("reports/demo"), plots: PlotsOption = "none") -> None:
    """Diagnose a small network that comes with the package.

    One scheme fails visibly, another does not. The report is written into a folder, with copies of the
    network and the images, so that every command that is shown at the end can be pasted.

    The folder is made where it is missing.
    """
    from qdiag.demo_assets import DEMO_ARCH, DEMO_FAULT, DEMO_NETWORK, DEMO_PRESET, demo_data_path, demo_model_path

    model, data = (_copied(path, out) for path in (demo_model_path(), demo_data_path()))
    console = stdout_console()
    _tell(console, DEMO_NETWORK)
    model_options = ModelOptions(str(model), DEMO_ARCH)
    data_options = DataOptions(str(data), preset=DEMO_PRESET)
    scheme = SchemeOptions(FAILING_SCHEME)
    words = option_words(model_options, data_options, scheme)
    with running(replace(run, device="cpu")) as session:
        from qdiag.cli.tables.ranking import print_ranking
        from qdiag.pipeline.begin import under_scheme
        from qdiag.pipeline.diagnose import DiagnoseOptions
        from qdiag.pipeline.sqnr import measure_experiment

        experiment = open_experiment(session, model_options, data_options, scheme.resolved)
        result, _ = run_diagnosis(session, experiment, DiagnoseOptions(words=words), run, plots=plots)
        result = write_diagnosis(session, result, out, None, plots)
        print_ranking(console, result, has_report=True)
        console.print()
        with session.watch.told(f"measure {CONTRAST_SCHEME}"):
            again = session.timed_anew()
            contrast = measure_experiment(again, under_scheme(again, experiment, load_preset(CONTRAST_SCHEME)))
        console.print(contrast_line(contrast))
    console.print()
    _tell(console, DEMO_FAULT)
    console.print(Text("Open these:", style="bold"))
    files = Table.grid(padding=(0, 2))
    for name, what in _FILES:
        files.add_row(Text(f"  {out / name}", no_wrap=True), Text(what))
    console.print(files)
    console.print()
    print_commands(console, "Repair it, see what that changed, and let CI guard it:", next_commands(result, model, out))
    tell_times(session.progress, quiet=run.quiet)


def next_commands(result: "Diagnosis", model: Path, out: Path) -> list[str]:
    """Repair, diagnose again, compare, gate: ready to be pasted where the demo was run."""
    from qdiag.reading.words.causes import commands

    fixed, again = model.with_suffix(f".fixed{model.suffix}"), out / "fixed"
    failing, passing = (shlex.join(["qdiag", "gate", str(folder), "--max-drop", "1"]) for folder in (out, again))
    return [
        *_activation(),
        *commands(result),
        shlex.join(["qdiag", "diagnose", str(fixed), *result.options, "-o", str(again)]),
        shlex.join(["qdiag", "compare", str(out), str(again)]),
        f"{failing:{len(passing)}}  # fails: exit code 1",
        f"{passing}  # passes: exit code 0",
        "qdiag explain QD301",
    ]


def contrast_line(measurement: "Measurement") -> Text:
    """The other scheme on the same network and images, in one line."""
    text = Text(f"For contrast, {measurement.scheme.name}: ")
    if measurement.task.judged is not None:
        text.append_text(figure_text(measurement.task.judged))
    elif measurement.outputs:
        text.append(f"{WEAKEST_SQNR} {decibel_words(lowest_sqnr_db(measurement.outputs, measurement.task))}")
    return text


def _copied(path: Path, folder: Path) -> Path:
    """The file in the folder of the demo: what is installed stays as it is, whatever is tried afterwards."""
    from qdiag.files.atomic import write_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"it cannot be made: {refusal(error)}", at=str(folder)) from error
    write_file(folder / path.name, path.read_bytes())
    return folder / path.name


def _tell(console: Console, text: str) -> None:
    console.print(OwnLines(text), width=min(console.width, _STORY_WIDTH))
    console.print()


def _activation() -> list[str]:
    """What makes `qdiag` a command of this shell; `make demo` installs into a folder of its own."""
    activate = Path(sys.prefix) / "bin" / "activate"
    if shutil.which("qdiag") is not None or not activate.is_file():
        return []
    return [f". {os.path.relpath(activate)}"]
