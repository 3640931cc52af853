"""What the repairs change in a quantized file."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.words.deployed.edits import edit_lines


def print_edits(console: Console, diagnosis: Diagnosis) -> None:
    """A line for each tensor; nothing where nothing changes."""
    file = diagnosis.measurement.deployed
    if file is None or not diagnosis.file_edits:
        return
    console.print()
    console.print(Text(f"What changes in {file.source}:", style="bold"))
    for line in edit_lines(diagnosis.file_edits):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
