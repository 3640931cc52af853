"""What a diagnosis says of training, below the changes of scheme."""

from rich.console import Console
from rich.text import Text

from qdiag.cli.console import print_commands
from qdiag.reading.diagnosis import Reading


def print_trainings(console: Console, reading: Reading) -> None:
    """What training recovered, how to train so where it helps, and by which option it is tried."""
    if reading.training:
        console.print()
    for line in reading.training:
        console.print(Text(line))
    if any(trial.not_trained == "not allowed" for trial in reading.diagnosis.trainings):
        console.print(Text("With --train MINUTES, qdiag diagnose trains and measures what that recovers.", style="dim"))
    if reading.training_proposal is not None:
        console.print()
        print_commands(console, reading.training_proposal.heading, reading.training_proposal.commands)
