"""What `qdiag fold` shows, word for word."""

import io
from collections.abc import Callable

from qdiag.cli.console import PrintableConsole
from qdiag.cli.options.common import Order
from qdiag.cli.tables.fold import print_fold
from qdiag.core.measures.folding import FoldReport
from qdiag.writers.csv.fold import fold_csv
from qdiag.writers.json.results import result_to_json
from tests.fold_reports import fold_report, without_batchnorms

Check = Callable[[str, str], None]


def table(report: FoldReport, width: int, order: Order, top: int | None = None) -> str:
    console = PrintableConsole(file=io.StringIO(), width=width, highlight=False, legacy_windows=False)
    print_fold(console, report, order, top)
    assert isinstance(console.file, io.StringIO)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())


def test_tables_in_graph_order(check_golden: Check) -> None:
    text = table(fold_report(), 140, "graph")
    assert text.index("\nconv1.bn ") < text.index("\npre.bn ") < text.index("\nlast.bn ")
    check_golden("table_fold.txt", text)


def test_eighty_columns_are_enough_for_where_it_goes_and_what_it_does(check_golden: Check) -> None:
    text = table(fold_report(), 80, "worst", 2)
    assert max(map(len, text.splitlines())) <= 80
    assert "4 more BatchNorms, --top 0" in text and "3 more activations, --top 0" in text
    check_golden("table_fold_narrow.txt", text)


def test_a_network_without_batchnorms_and_activations_says_so() -> None:
    text = table(without_batchnorms(), 100, "worst")
    assert "The network has no BatchNorm: none was ever there, or all are folded into the weights already." in text
    assert "The network has no activation behind a convolution or another operation." in text
    assert "makes of -0.5 the code 63" in " ".join(text.split()), "the example does not depend on the network"
    assert "float output" not in text and "written" not in text


def test_json_and_csv(check_golden: Check) -> None:
    check_golden("fold.json", result_to_json(fold_report()))
    check_golden("fold.csv", fold_csv(fold_report()))
