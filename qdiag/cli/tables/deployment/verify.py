"""What `qdiag verify` prints: three networks in the header, a row per layer, and whether the limits hold."""

from rich.console import Console
from rich.text import Text

from qdiag.cli.console import print_flowing
from qdiag.cli.options.common import Order
from qdiag.cli.parameters import as_options
from qdiag.cli.tables.fit import Column, fit_table, more_words
from qdiag.cli.tables.sqnr_header import (
    Lines,
    capture_lines,
    data_lines,
    file_lines,
    header_grid,
    model_lines,
    scheme_lines,
    size_lines,
)
from qdiag.core.measures.deployed.verification import LayerAgreement, Verification
from qdiag.reading.words.deployed.operations import float_words, integer_words
from qdiag.reading.words.deployed.verification import (
    PASSED,
    breach_words,
    harm_words,
    integer_agreement,
    pair_words,
    percent_words,
    reason_of,
    reason_words,
    sample_agreement,
    sqnr_words,
    task_words,
    uncompared_words,
)

_TOP_WORST = 25


def print_verification(console: Console, result: Verification, order: Order, top: int | None) -> None:
    """Header, table and verdict on `console`."""
    console.print(header_grid(*_header(result)))
    console.print()
    rows = list(result.layers)
    if order == "worst":
        rows = sorted(rows, key=lambda row: -row.differing_percent)
        top = _TOP_WORST if top is None else top
        rows = [row for row in rows if row.differing_count]
    shown = rows[:top] if top else rows
    if shown:
        console.print(fit_table(console, Column("layer", lambda row: Text(row.layer)), _COLUMNS, shown))
        console.print()
    if len(rows) > len(shown):
        console.print(Text(more_words(len(shown), len(rows), "differ"), "dim"))
    for line in uncompared_words(result):
        print_flowing(console, Text(line))
    for breach in result.breaches:
        print_flowing(console, Text(as_options(breach_words(breach, result))), ("failed: ", "bold red"))
    if not result.breaches:
        passed = ("Passed", "bold green"), f": {PASSED}"
        print_flowing(console, Text.assemble(*passed))
    print_flowing(console, Text(as_options(harm_words(result))))


def _header(result: Verification) -> Lines:
    yield from model_lines(result.model)
    yield from scheme_lines(result.scheme, with_layers=result.source is None)
    yield from file_lines(result.file)
    yield from size_lines(result.size)
    yield from data_lines(result.data)
    yield from capture_lines(result.capture)
    source = result.source if result.source is not None else "as qdiag export writes it"
    yield "deployed", Text(source, style="bold")
    yield "", Text(integer_words(result.operations))
    yield "", Text(float_words(result.operations))
    for line in pair_words(result):
        yield "", Text(line)
    yield "integers", Text(integer_agreement(result), style="green" if not result.differing_count else "yellow")
    for line in reason_words(result):
        yield "", Text(line)
    yield "outputs", Text(sample_agreement(result))
    yield "", Text(sqnr_words(result))
    for i, line in enumerate(task_words(result)):
        yield "" if i else "task", Text(line)


_COLUMNS: list[Column[LayerAgreement]] = [
    Column("differing\n%", lambda row: Text(percent_words(row.differing_percent)), 100),
    Column("steps", lambda row: Text(str(row.largest_steps)), 90),
    Column("integers", lambda row: Text(f"{row.count:,}"), 50),
    Column("tensor", lambda row: Text(row.tensor, "dim"), 40, is_left=True),
    Column("why they may differ", lambda row: Text(reason_of(row), "dim"), 45, is_left=True),
]
