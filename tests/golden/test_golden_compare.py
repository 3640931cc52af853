"""What `qdiag compare` shows, word for word."""

import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from qdiag.cli.console import PrintableConsole
from qdiag.cli.tables.compare import print_comparison
from qdiag.compare.diagnoses import compare_diagnoses
from qdiag.core.compare import Comparison
from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.json.results import result_to_json
from qdiag.writers.markdown.compare import comparison_markdown
from tests.diagnoses import (
    awkward_diagnosis,
    diagnosis,
    long_diagnosis,
    repaired_diagnosis,
    unlabelled_diagnosis,
    with_outcomes,
)
from tests.measurements import sums
from tests.other_tasks import judged_by_error

Check = Callable[[str, str], None]


def repair() -> Comparison:
    return compare_diagnoses(
        with_outcomes(diagnosis()),
        with_outcomes(repaired_diagnosis(), from_end=True),
        source_before="reports/before",
        source_after="reports/after",
    )


def awkward() -> Comparison:
    """Other metrics, infinite figures, a claimed cause without layers, names that need escaping."""
    return compare_diagnoses(
        unlabelled_diagnosis(), awkward_diagnosis(), source_before="a.json", source_after="b.json", force=True
    )


def renamed_layers() -> Comparison:
    """A deep network: a part of it renamed, two layers gone, some of those that were renamed noisier than before."""
    before = long_diagnosis(30)
    records = [r for r in before.measurement.records if r.index not in (4, 11)]
    records = [replace(r, name=r.name.replace("features.1", "stage.1")) for r in records]
    records = [replace(r, local=sums(r.local.sqnr_db - 0.7 * i)) if i % 5 == 1 else r for i, r in enumerate(records)]
    after: Diagnosis = replace(before, measurement=replace(before.measurement, records=tuple(records)))
    return compare_diagnoses(before, after)


def table(comparison: Comparison, width: int, top: int | None = None) -> str:
    console = PrintableConsole(file=io.StringIO(), width=width, highlight=False, legacy_windows=False)
    print_comparison(console, comparison, top)
    assert isinstance(console.file, io.StringIO)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())


def test_table_of_a_repair(check_golden: Check) -> None:
    text = table(repair(), 160)
    assert text.index("blocks.0.dw") < text.index("blocks.1.dw") < text.index("blocks.1.pw")
    assert "4 more layers that changed are not shown; --top 0 shows all 29." in text
    check_golden("table_compare.txt", text)


def test_table_on_a_narrow_terminal(check_golden: Check) -> None:
    text = table(repair(), 80, top=5)
    assert max(map(len, text.splitlines())) <= 80
    check_golden("table_compare_narrow.txt", text)


def test_table_of_what_was_forced_and_awkward(check_golden: Check) -> None:
    text = table(awkward(), 160, top=0)
    assert text.count("FORCED") == 1
    check_golden("table_compare_awkward.txt", text)


def test_table_of_another_task(check_golden: Check) -> None:
    pair = [judged_by_error(of) for of in (diagnosis(), repaired_diagnosis())]
    text = table(compare_diagnoses(*pair, source_before="a.json", source_after="b.json"), 160, top=3)
    assert "depth error of the quantized network 0.91 m → 0.252 m, -0.658 m" in text
    assert "No difference" not in text
    check_golden("table_compare_depth.txt", text)


def test_table_with_renamed_layers(check_golden: Check) -> None:
    comparison = renamed_layers()
    assert sum(layer.is_renamed for layer in comparison.layers) > 5
    check_golden("table_compare_renamed.txt", table(comparison, 120))


def test_markdown(check_golden: Check) -> None:
    text = comparison_markdown(repair())
    assert text.startswith("**Better: top-1 of the quantized network 9.0 % → 74.8 %")
    widths = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| `")}
    assert widths <= {4, 9}
    check_golden("compare.md", text)


def test_markdown_of_awkward_names(check_golden: Check) -> None:
    text = comparison_markdown(awkward(), layers_shown=0)
    assert "<c>" not in text
    check_golden("compare_awkward.md", text)


def test_json(check_golden: Check) -> None:
    text = result_to_json(awkward())
    plain = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert plain["schema_version"] == 2
    assert len(plain["layers"]) + len(plain["new"]) == len(awkward_diagnosis().measurement.records)
    check_golden("compare.json", text)
