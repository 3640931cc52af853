"""No line ends between a number and its unit, whatever breaks it."""

import re

import pytest
from rich.text import Text

from qdiag.cli.console import PrintableConsole
from qdiag.cli.quantity import freed, held_words, lines_of
from qdiag.cli.tables.fit import Column, fit_table

SENTENCE = (
    "It costs 12.5 pp of 99.9 % in 250 kB, 3 bits, 0.06 of 8 bits, 40.1 dB, 12.79 k parameters, 1.3 s and 24 samples; "
    "seed 0, batch 16, on 32 of 300 samples at layer 6, 27 layers and channel 1."
)
BROKEN = re.compile(r"\d\n *(%|pp|dB|s\b|kB|bits|k parameters|samples|layers)|\d k\n|(seed|batch|layer|channel)\n *\d")


@pytest.mark.parametrize("width", range(20, 130))
def test_no_width_parts_a_number_from_its_unit(width: int) -> None:
    console = PrintableConsole(width=width, highlight=False)
    with console.capture() as printed:
        console.print(Text(SENTENCE, style="dim"))
        console.print(SENTENCE)
    shown = printed.get()
    assert not BROKEN.search(re.sub(r" +\n", "\n", shown)), shown
    assert " ".join(shown.split()) == f"{SENTENCE} {SENTENCE}"
    help_lines = [line.plain for line in lines_of(Text(SENTENCE), width)]
    assert not BROKEN.search("\n".join(help_lines))
    assert " ".join(" ".join(help_lines).split()) == SENTENCE


def test_plain_breaking_would_part_them() -> None:
    """The check above can fail."""
    assert any(
        BROKEN.search("\n".join(line.plain for line in Text(SENTENCE).wrap(PrintableConsole(width=60), w)))
        for w in range(20, 130)
    )


def test_names_that_go_on_in_a_further_line_keep_their_units() -> None:
    console = PrintableConsole(width=40, highlight=False)
    name = Column[str]("suspects", Text, wraps=True)
    for pad in range(30):
        rows = ["a" * pad + " keeps 99.9 % and then 99.9 % and 12 dB of it"]
        with console.capture() as printed:
            console.print(fit_table(console, name, [], rows))
        assert not BROKEN.search(re.sub(r" +\n", "\n", printed.get())), printed.get()


def test_what_is_no_unit_is_left_alone() -> None:
    for words in ("24 sums", "layers 3 sums", "2 of 3", "conv 1 blocks", "4 samplers"):
        assert held_words(words) == words
    assert freed(held_words(SENTENCE)) == SENTENCE
