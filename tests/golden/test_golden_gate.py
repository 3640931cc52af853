"""What a gate writes, word for word."""

import io
import re
from collections.abc import Callable

import pytest

from qdiag.cli.console import PrintableConsole
from qdiag.cli.parameters import gate_with_options
from qdiag.cli.tables.gate import print_gate
from qdiag.core.gate import GateResult
from qdiag.gate.baseline import make_baseline
from qdiag.writers.ci.github_actions import annotations
from qdiag.writers.ci.junit import gate_junit
from qdiag.writers.ci.sarif import gate_sarif
from qdiag.writers.json.baseline import baseline_to_json
from qdiag.writers.json.gate import gate_to_json
from qdiag.writers.markdown.gate import gate_markdown
from tests.diagnoses import diagnosis
from tests.gates import depth_error, evidence, failed, overlooked, passed, undecided, unjudged

Check = Callable[[str, str], None]


def table(result: GateResult, width: int, *, is_terminal: bool = False, has_asked_width: bool = False) -> str:
    console = PrintableConsole(
        file=io.StringIO(),
        width=width,
        highlight=False,
        legacy_windows=False,
        force_terminal=is_terminal,
        no_color=True,
    )
    console.has_asked_width = has_asked_width
    print_gate(console, gate_with_options(result))
    assert isinstance(console.file, io.StringIO)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())


@pytest.mark.parametrize("make", [failed, undecided, passed, unjudged, depth_error, overlooked])
def test_table(make: Callable[[], GateResult], check_golden: Check) -> None:
    check_golden(f"gate_{make.__name__}.txt", table(make(), 140))


def test_table_on_a_narrow_terminal(check_golden: Check) -> None:
    text = table(failed(), 80)
    assert "FAIL" in text
    check_golden("gate_narrow.txt", text)


def test_a_terminal_wraps_all() -> None:
    """A log has the same words in one line each; a command goes on behind a backslash, as a shell reads it."""
    lines = [re.sub("\x1b[^m]*m", "", line).rstrip() for line in table(failed(), 80, is_terminal=True).splitlines()]
    in_log = table(failed(), 80).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in in_log if len(line) > 80 and line.startswith("repair")]
    assert [line for line in in_log if len(line) > 80 and not line.startswith("repair")]
    assert table(failed(), 80, has_asked_width=True).splitlines() == lines
    in_one_line = "\n".join(lines).replace(" \\\n", " ")
    assert " ".join(in_one_line.split()) == " ".join(" ".join(in_log).split())


@pytest.mark.parametrize("make", [failed, undecided, unjudged, depth_error, overlooked])
def test_markdown(make: Callable[[], GateResult], check_golden: Check) -> None:
    check_golden(f"gate_{make.__name__}.md", gate_markdown(gate_with_options(make())))


@pytest.mark.parametrize("make", [failed, unjudged])
def test_junit(make: Callable[[], GateResult], check_golden: Check) -> None:
    check_golden(f"gate_{make.__name__}.xml", gate_junit(make()))


def test_sarif(check_golden: Check) -> None:
    check_golden("gate_failed.sarif", gate_sarif(failed(), "0.1.0"))


def test_json(check_golden: Check) -> None:
    check_golden("gate_undecided.json", gate_to_json(undecided()))


def test_annotations(check_golden: Check) -> None:
    check_golden("gate_annotations.txt", "\n".join(annotations(failed())) + "\n")


def test_baseline(check_golden: Check) -> None:
    check_golden("gate_baseline.json", baseline_to_json(make_baseline(evidence(diagnosis()))))
