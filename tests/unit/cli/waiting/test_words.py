"""Times of a run in words, which add up."""

import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qdiag.cli.waiting import clock
from qdiag.cli.waiting.words import duration, times_words


def test_parts_add_up_to_the_whole_as_they_are_printed() -> None:
    draw = random.Random(0)
    for _ in range(200):
        times = {f"stage {i}": draw.choice((0.01, 0.05, 0.149, 3.0)) * draw.random() for i in range(draw.randint(1, 9))}
        whole, *parts = map(float, re.findall(r"(\d+\.\d)(?=[,) ]|$)", times_words({"other": 0.3, **times}, "other")))
        assert whole == pytest.approx(sum(times.values()) + 0.3, abs=0.0501)
        assert sum(parts) == pytest.approx(whole if any(spent >= 0.05 for spent in times.values()) else 0.0)


def test_what_took_no_time_is_not_named() -> None:
    assert times_words({"start": 1.0, "plan": 0.01, "other": 0.25}, "other") == "1.3 s (start 1.0, the rest 0.3)"
    assert times_words({"start": 1.0}, "other") == "1.0 s (start 1.0)"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (89.0, "89 s"), (91.0, "1.5 min"), (700.0, "12 min"), (5300.0, "88 min"), (9000.0, "2.5 h")],
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
def test_a_run_begins_with_its_process() -> None:
    code = (
        "import time; from qdiag.cli.waiting.clock import run_started_s, start_clock\n"
        "start_clock(with_process=True); print(time.perf_counter() - run_started_s())"
    )
    before = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    whole = time.perf_counter() - before
    assert 0.01 <= float(done.stdout) <= whole + 0.02


def test_a_run_in_python_begins_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_started_s", None)
    clock.start_clock()
    assert clock.run_started_s() == pytest.approx(time.perf_counter(), abs=0.5)
