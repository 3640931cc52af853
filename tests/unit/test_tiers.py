"""What `make test` leaves out is run by `.ci/run`, and is what was measured to be slow."""

import re
from pathlib import Path

import pytest

from tests.tiers import listed, mark_slow, measured, slow, without_case

ROOT = Path(__file__).parents[2]
REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_x" name="test_y[a[0]-b]" time="0.5"/>
<testcase classname="tests.unit.test_x" name="test_y[c]" time="0.1"/>
<testcase classname="tests.e2e.test_z" name="test_z" time="0.2"/>
</testsuite></testsuites>"""


def test_every_listed_test_exists() -> None:
    names = sorted(listed())
    assert names
    for name in names:
        file, _, function = name.partition("::")
        assert re.search(rf"^(async )?def {function}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), name


def test_what_takes_longer_than_the_limit_in_the_mean_of_its_cases_is_slow(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT, encoding="utf-8")
    durations = measured(tmp_path / "report.xml")
    assert durations[0] == ("tests/unit/test_x.py::test_y", 0.5) and len(durations) == 3
    assert slow(durations, limit_s=0.25) == ["tests/unit/test_x.py::test_y"]
    assert slow(durations, limit_s=0.35) == []


def test_the_tests_of_the_list_are_marked_and_no_other(request: pytest.FixtureRequest) -> None:
    items = request.session.items
    names = listed()
    assert all(item.get_closest_marker("slow") for item in items if without_case(item.nodeid) in names)
    own = request.node
    assert without_case(own.nodeid) not in names and own.get_closest_marker("slow") is None
    mark_slow([own])
    assert own.get_closest_marker("slow") is None


def test_all_tests_are_run_before_a_change_lands() -> None:
    """Those of `make test`, `make slow` and `make real` are all there are."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    chosen = re.findall(r"\$\(PYTEST\) -m (\"[^\"]+\"|\w+)", makefile)
    assert chosen == ['"not real and not slow"', '"slow and not real"', '"not real"', "real"]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^make (slow|real)\b", script, re.MULTILINE) == ["slow", "real"]
