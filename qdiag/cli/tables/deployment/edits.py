"""A quantized file in its runtime, and what the repairs change in it."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from qdiag.cli.tables.sqnr_header import header_grid
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.deployed.verification import Verification
from qdiag.reading.words.deployed.edits import edit_lines
from qdiag.reading.words.deployed.rules import no_better_words
from qdiag.reading.words.deployed.run import run_lines


def print_file(console: Console, diagnosis: Diagnosis) -> None:
    """Both, and the repaired file where one was written; nothing where no quantized file was diagnosed."""
    _print_run(console, diagnosis.verification, "deployed")
    _print_edits(console, diagnosis)
    _print_run(console, diagnosis.repaired_run, "repaired", no_better_words(diagnosis))


def _print_run(console: Console, run: Verification | None, title: str, remark: str = "") -> None:
    """A file in its runtime beside the simulation; nothing where it was not run."""
    lines = [*run_lines(run), *filter(None, (remark,))]
    if lines:
        console.print()
        console.print(header_grid(*(("" if i else title, Text(line)) for i, line in enumerate(lines))))


def _print_edits(console: Console, diagnosis: Diagnosis) -> None:
    """A line for each tensor; nothing where nothing changes."""
    file = diagnosis.measurement.deployed
    if file is None or not diagnosis.file_edits:
        return
    console.print()
    console.print(Text(f"What changes in {file.source}:", style="bold"))
    for line in edit_lines(diagnosis.file_edits):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
