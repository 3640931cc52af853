"""What `qdiag reproduce` prints: how it was run, the figures beside the published ones, and what was expected."""

from rich.console import Console
from rich.text import Text

from qdiag.cli.console import print_commands
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import header_grid
from qdiag.core.reproductions.expectations import Outcome
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.reading.words.reproductions.sentences import command_words, headline, run_lines
from qdiag.reading.words.reproductions.tables import FigureColumn, expectation_rows, figure_columns, row_titles

_STYLES: dict[Outcome, str] = {"holds": "green", "fails": "red", "undecided": "yellow"}


def print_reproduction(console: Console, result: Reproduction) -> None:
    """Everything, on `console`."""
    console.print(header_grid(*((name, Text(line)) for name, line in run_lines(result))))
    console.print()
    console.print(Text(headline(result), style="bold"))
    console.print()
    titles = row_titles(result)
    columns = [_column(column, 100 - place) for place, column in enumerate(figure_columns(result))]
    console.print(fit_table(console, Column("variant", lambda row: Text(titles[row])), columns, range(len(titles))))
    for one in expectation_rows(result):
        console.print()
        console.print(Text.assemble((one.verdict, _STYLES[one.outcome]), f": {one.statement} {one.measured}."))
        if one.reason:
            console.print(Text(one.reason, style="dim"))
    console.print()
    for note in result.notes:
        console.print(Text(note))
    print_commands(console, "The same numbers again, on this machine:", [command_words(result)])


def _column(column: FigureColumn, importance: int) -> Column[int]:
    title, _, rest = column.title.partition(", ")
    header = f"{title}\n{rest or column.unit}"
    return Column(header, lambda row: Text(column.texts[row]), importance)
