"""What `qdiag bn` shows, word for word."""

import io
from collections.abc import Callable

from qdiag.cli.console import PrintableConsole
from qdiag.cli.options.common import Order
from qdiag.cli.tables.bn import print_audit
from qdiag.writers.csv.bn import bn_csv
from qdiag.writers.json.results import result_to_json
from tests.audits import bn_audit

Check = Callable[[str, str], None]


def table(certainty: str, width: int, order: Order, top: int | None = None) -> str:
    console = PrintableConsole(file=io.StringIO(), width=width, highlight=False, legacy_windows=False)
    print_audit(console, bn_audit(certainty=certainty), order, top)
    assert isinstance(console.file, io.StringIO)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())


def test_table_worst_first(check_golden: Check) -> None:
    text = table("certain", 130, "worst")
    assert text.index("blocks.0.dw_bn  ") < text.index("blocks.0.pw_bn  ") < text.index("last.bn  ")
    check_golden("table_bn.txt", text)


def test_table_without_a_graph_on_a_narrow_terminal(check_golden: Check) -> None:
    text = table("guess", 80, "graph", 2)
    assert "3 guessed (?)" in text
    assert "2 more BatchNorms" in text
    assert max(map(len, text.splitlines())) <= 80
    check_golden("table_bn_narrow.txt", text)


def test_json_and_csv(check_golden: Check) -> None:
    check_golden("bn.json", result_to_json(bn_audit()))
    check_golden("bn.csv", bn_csv(bn_audit()))
