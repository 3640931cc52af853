"""What `qdiag check` prints: the model, its inputs and outputs, its operations, the task, and what comes next."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from qdiag.cli.console import print_commands
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import (
    Lines,
    capture_lines,
    float_lines,
    header_grid,
    model_lines,
    scheme_lines,
    size_lines,
)
from qdiag.core.listed import listed
from qdiag.core.measures.operations.model_check import ModelCheck, OperationCount, TensorForm
from qdiag.reading.words.operations.model_check import form_words, next_words, task_words, verdict_words, work_words

BESIDE_FLOAT = (
    "It is quantized itself. Next, with data of your own, beside the float network that it was made from, or alone, "
    "where what rounding the weights cost is not seen:"
)
_FUSED_SHOWN = 3


def print_check(console: Console, check: ModelCheck, commands: Sequence[str]) -> None:
    """Header, operations, sentences and the commands that come next on `console`."""
    console.print(header_grid(*_header(check)))
    console.print()
    console.print(fit_table(console, Column("operation", _name), _COLUMNS, check.operations))
    console.print()
    console.print(Text(verdict_words(check), style="bold"))
    console.print(Text(task_words(check)))
    console.print(Text(f"{next_words(check)} Options: --task, --output, --targets, --metric."))
    console.print()
    print_commands(console, BESIDE_FLOAT if len(commands) > 1 else "Next, with data of your own:", commands)


def _header(check: ModelCheck) -> Lines:
    yield from model_lines(check.model)
    yield from _forms("inputs", check.inputs)
    yield "", Text(f"run on {check.inputs_from}")
    yield from _forms("outputs", check.outputs)
    yield from capture_lines(check.capture)
    yield from scheme_lines(check.scheme)
    yield from size_lines(check.size)
    yield "work", Text(work_words(check))
    yield from float_lines(check)


def _forms(word: str, forms: Sequence[TensorForm]) -> Lines:
    for i, form in enumerate(forms):
        yield "" if i else word, Text(form_words(form))


def _name(row: OperationCount) -> Text:
    return Text(f"{row.op} depthwise" if row.kind == "depthwise_conv" else row.op)


def _quantized(row: OperationCount) -> Text:
    return Text(str(row.quantized_count), style="" if row.quantized_count == row.layer_count else "yellow")


def _share(fraction: float) -> Text:
    return Text(f"{100.0 * fraction:.1f}" if fraction else "")


_COLUMNS: list[Column[OperationCount]] = [
    Column("layers\ncount", lambda row: Text(str(row.layer_count)), 100),
    Column("quantized\ncount", _quantized, 99),
    Column("multiplications\n%", lambda row: _share(row.mac_fraction), 90),
    Column("weights\n%", lambda row: _share(row.weight_fraction), 80),
    Column("fused with it", lambda row: Text(listed(row.fused, _FUSED_SHOWN), style="dim"), 50, is_left=True),
]
