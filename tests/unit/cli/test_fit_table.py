import io

import pytest
from rich.console import Console
from rich.text import Text

from qdiag.cli.tables.fit import Column, fit_table

ROWS = ["features.0.0.conv.depthwise", "head"]
NAME = Column[str]("layer", Text)
COLUMNS = [
    Column[str]("local\ndB", lambda row: Text("12.3"), importance=100),
    Column[str]("operation", lambda row: Text("conv 3x3 dw + relu6"), importance=1, is_left=True),
]


def drawn(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(fit_table(console, NAME, COLUMNS, ROWS))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_wide_terminal_shows_all_columns_in_their_order() -> None:
    lines = drawn(100)
    assert lines[1].split() == ["layer", "dB", "operation"]
    assert lines[3] == "features.0.0.conv.depthwise    12.3   conv 3x3 dw + relu6"


def test_a_narrow_terminal_drops_the_least_important_column_whole() -> None:
    lines = drawn(40)
    assert "operation" not in "".join(lines[:5])
    assert lines[3].split() == [ROWS[0], "12.3"]


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_column_vanishes_without_a_word(width: int) -> None:
    many = [Column[str](f"column {i}\ndB", lambda row: Text("12.3"), i) for i in range(14)]
    console = Console(file=io.StringIO(), width=width)
    console.print(fit_table(console, NAME, many, ROWS))
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().split())
    above, _, below = text.partition("left out because the output is too narrow: ")
    assert all((f"column {i} " in above) != (f"column {i} dB" in below) for i in range(14))
    assert not below or below.endswith(" shows them, and so does --json.")


def test_what_did_not_fit_is_named_below() -> None:
    below = " ".join(" ".join(drawn(40)[5:]).split())
    said = "This column is left out because the output is too narrow: operation."
    assert below.startswith(f"{said} A width of ") and below.endswith(" shows it, and so does --json.")
    needed = int(below.split("A width of ")[1].split()[0])
    assert len(drawn(needed)) == 5 < len(drawn(needed - 1)), "as wide as it says, and no less"


@pytest.mark.parametrize("width", range(26, 80, 5))
def test_numbers_are_never_cut(width: int) -> None:
    lines = drawn(width)
    assert max(map(len, lines)) <= width
    assert "12.3" in lines[3]
    assert "…" not in lines[4]
