"""What `qdiag rank` and `qdiag diagnose` print, on a wide and on a narrow terminal."""

import io
from collections.abc import Callable

import pytest

from qdiag.cli.console import PrintableConsole
from qdiag.cli.tables.ranking import print_ranking
from qdiag.core.diagnosis import Diagnosis
from tests.diagnoses import diagnosis, doubtful_diagnosis, healthy_diagnosis, unlabelled_diagnosis

Check = Callable[[str, str], None]


def printed(found: Diagnosis, width: int) -> str:
    file = io.StringIO()
    print_ranking(PrintableConsole(file=file, width=width, highlight=False, color_system=None), found)
    return "".join(line.rstrip() + "\n" for line in file.getvalue().splitlines())


@pytest.mark.parametrize(
    ("name", "found", "width", "must_say"),
    [
        ("harmed", diagnosis(), 120, "1. QD301 dead BatchNorm channels set the weight range"),
        ("narrow", diagnosis(), 80, "qdiag fix-bn net.safetensors -o net.fixed.safetensors"),
        ("healthy", healthy_diagnosis(), 100, "Nothing to repair"),
        ("unlabelled", unlabelled_diagnosis(), 100, "agreement pp"),
        ("doubtful", doubtful_diagnosis(), 100, "To look again with other inputs:"),
    ],
)
def test_ranking(name: str, found: Diagnosis, width: int, must_say: str, check_golden: Check) -> None:
    text = printed(found, width)
    assert must_say in text
    table = text[: text.find("To repair it:")]  # commands are never broken: they are to be pasted
    assert all(len(line) <= width for line in table.splitlines() if not line.startswith("  qdiag "))
    assert "…" not in table.partition("suspects")[2], "names are told in full, in two lines if need be"
    check_golden(f"table_ranking_{name}.txt", text)
