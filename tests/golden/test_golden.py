"""What people see, word for word. `make golden` rewrites the files; the checks beside them still hold then."""

import io
import json
from collections.abc import Callable

import pandas as pd
import pytest

from qdiag.cli.app import run
from qdiag.cli.console import PrintableConsole
from qdiag.cli.options.common import Order
from qdiag.cli.tables.ranges import print_ranges
from qdiag.cli.tables.sqnr import print_measurement
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.writers.csv.layers import layer_csv, range_csv
from qdiag.writers.json.measurement import from_json, to_json
from qdiag.writers.json.results import result_to_json
from tests.measurements import awkward_measurement, many_records, measurement, range_report, small_records
from tests.stored import read_back

Check = Callable[[str, str], None]


def table(result: Measurement, width: int, order: Order = "worst", top: int | None = None) -> str:
    console = PrintableConsole(file=io.StringIO(), width=width, highlight=False, legacy_windows=False)
    print_measurement(console, result, order, "local", top)
    assert isinstance(console.file, io.StringIO)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())


def test_table_worst_first(check_golden: Check) -> None:
    text = table(measurement(), 120)
    rows = text[text.index("\nlayer ") + 1 :].splitlines()
    assert rows[2].startswith(">! blocks.0.dw")
    assert text.count(">! blocks.0.dw") == 1
    check_golden("table_worst.txt", text)


def test_table_in_graph_order_with_losses(check_golden: Check) -> None:
    text = table(measurement(small_records(with_losses=True)), 160, "graph")
    rows = text[text.index("\nlayer ") + 1 :].splitlines()[2 : 2 + len(small_records())]
    assert [row[3:].split()[0] for row in rows] == [record.name for record in small_records()]
    check_golden("table_graph_losses.txt", text)
    narrow = table(measurement(small_records(with_losses=True)), 80, "graph")
    head = narrow[narrow.index("The five losses") :].splitlines()
    assert any(line.split() == ["layer", "dB", "dB", "dB", "dB", "dB"] for line in head)
    assert any(line.split() == ["input", "weight", "saturation", "requantization", "clipping"] for line in head)
    assert max(map(len, narrow.splitlines())) <= 80


def test_table_of_a_deep_network_data_free_on_a_narrow_terminal(check_golden: Check) -> None:
    text = table(measurement(many_records(40), is_data_free=True, is_labelled=False), 80)
    assert "DATA-FREE" in text
    assert "15 more layers" in text
    assert max(map(len, text.splitlines())) <= 80
    check_golden("table_narrow.txt", text)


def test_table_with_infinite_and_undefined_figures(check_golden: Check) -> None:
    text = table(awkward_measurement(), 180)
    assert "NaN, Inf" in text
    check_golden("table_awkward.txt", text)


def test_ranges_table(check_golden: Check) -> None:
    console = PrintableConsole(file=io.StringIO(), width=120, highlight=False)
    print_ranges(console, range_report())
    assert isinstance(console.file, io.StringIO)
    text = "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())
    assert text.index("Weights") < text.index("Outputs")
    check_golden("table_ranges.txt", text)


def test_json(check_golden: Check) -> None:
    text = to_json(awkward_measurement())
    assert to_json(from_json(text)) == text
    assert json.loads(text)["schema_version"] == 2
    check_golden("sqnr.json", text)


def test_ranges_json(check_golden: Check) -> None:
    text = result_to_json(range_report())
    assert read_back(RangeReport, text) == range_report()
    check_golden("ranges.json", text)


def test_csv(check_golden: Check) -> None:
    text = layer_csv(measurement(small_records(with_losses=True)))
    assert len(pd.read_csv(io.StringIO(text))) == len(small_records())
    check_golden("layers.csv", text)


def test_ranges_csv(check_golden: Check) -> None:
    text = range_csv(range_report())
    assert len(pd.read_csv(io.StringIO(text))) == len(range_report().records)
    check_golden("ranges.csv", text)


def test_schemes(check_golden: Check, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert run(["schemes"]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[-1].startswith("Files to start from: ")
    check_golden("schemes.txt", "\n".join(lines[:-1]) + "\n")
