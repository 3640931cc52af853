"""Which tests `make test` leaves to `make slow`: those that a measured run found to take longest.

`make slow-list` measures all tests, and writes the list anew.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import pytest

LIST = Path(__file__).parent / "slow_tests.txt"
LIMIT_S = 0.25
"""Seconds of one case, in the mean of all cases of a test: what takes longer is slow."""


def listed() -> frozenset[str]:
    """`tests/unit/test_x.py::test_y`, without the cases of a test."""
    return frozenset(line for line in LIST.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))


def mark_slow(items: Iterable[pytest.Item]) -> None:
    """Gives the tests of the list the mark `slow`."""
    names = listed()
    for item in items:
        if without_case(item.nodeid) in names:
            item.add_marker(pytest.mark.slow)


def without_case(nodeid: str) -> str:
    """`tests/unit/test_x.py::test_y` of `tests/unit/test_x.py::test_y[a-b]`."""
    return nodeid.partition("[")[0]


def slow(durations_s: Iterable[tuple[str, float]], limit_s: float = LIMIT_S) -> list[str]:
    """Names of the tests whose cases take longer than the limit in the mean, sorted.

    Args:
        durations_s: name without its case, and seconds of the case with what was set up for it.
    """
    cases: dict[str, list[float]] = {}
    for name, taken_s in durations_s:
        cases.setdefault(name, []).append(taken_s)
    return sorted(name for name, taken in cases.items() if sum(taken) > limit_s * len(taken))


def measured(report: Path) -> list[tuple[str, float]]:
    """Name and seconds of every case in a JUnit file of pytest."""
    cases = ElementTree.parse(report).iter("testcase")
    return [(_name(case.attrib), float(case.attrib["time"])) for case in cases]


def _name(attributes: dict[str, str]) -> str:
    file = attributes["classname"].replace(".", "/")
    return without_case(f"{file}.py::{attributes['name']}")


if __name__ == "__main__":
    names = slow(measured(Path(sys.argv[1])))
    head = f"# Tests whose cases take more than {LIMIT_S} s in the mean; written by `make slow-list`.\n"
    LIST.write_text(head + "".join(f"{name}\n" for name in names), encoding="utf-8")
