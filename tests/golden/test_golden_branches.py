"""What `qdiag branches` shows, word for word."""

import io
import json
from collections.abc import Callable

from qdiag.cli.console import PrintableConsole
from qdiag.cli.options.common import Order
from qdiag.cli.tables.branches import print_branches
from qdiag.writers.csv.branches import branch_csv
from qdiag.writers.json.results import result_to_json
from qdiag.writers.plain_json import dump
from tests.branch_reports import branch_report

Check = Callable[[str, str], None]


def table(width: int, order: Order, top: int | None = None) -> str:
    console = PrintableConsole(file=io.StringIO(), width=width, highlight=False, legacy_windows=False)
    print_branches(console, branch_report(), order, top)
    assert isinstance(console.file, io.StringIO)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())


def test_the_worst_block_comes_first(check_golden: Check) -> None:
    text = table(140, "worst")
    assert text.index("\nstage1.1 ") < text.index("\nstage1.2 ") < text.index("\nstage1.0 ") < text.index("\nstage2.0 ")
    check_golden("table_branches.txt", text)


def test_eighty_columns_are_enough_for_conditions_gains_and_verdict(check_golden: Check) -> None:
    text = table(80, "graph", 3)
    assert max(map(len, text.splitlines())) <= 80
    assert "1 more block, --top 0" in text
    assert all(
        word in text
        for word in ("C1", "C2", "as read", "fused", "alpha", "variance", "distance", "weights: rbr_identity")
    )
    check_golden("table_branches_narrow.txt", text)


def test_json_and_csv(check_golden: Check) -> None:
    written = json.loads(result_to_json(branch_report()))
    assert (written.pop("before")["schema_version"], written.pop("after")["schema_version"]) == (2, 2)
    check_golden("branches.json", dump(written) + "\n")  # without the measurements, which sqnr.json has
    check_golden("branches.csv", branch_csv(branch_report()))
