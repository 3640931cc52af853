"""What a diagnosis says of training, below the ways around."""

from rich.console import Console
from rich.text import Text

from qdiag.cli.console import print_commands
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.words.commands.training import training_commands
from qdiag.reading.words.trials.training import training_lines


def print_trainings(console: Console, diagnosis: Diagnosis) -> None:
    """What training gave back, how to train so where it helps, and by which option it is tried."""
    lines, found = training_lines(diagnosis), training_commands(diagnosis)
    if lines:
        console.print()
    for line in lines:
        console.print(Text(line))
    if any(trial.not_trained == "not allowed" for trial in diagnosis.trainings):
        console.print(
            Text("With --train MINUTES, qdiag diagnose trains and measures what that gives back.", style="dim")
        )
    if found:
        console.print()
        print_commands(console, "To train it:", found)
