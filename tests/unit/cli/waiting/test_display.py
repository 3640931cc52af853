"""What is shown while a run goes on: one bar on a terminal, few lines in a log."""

import io
import os
import pty
import re
import sys
import time

import pytest
from rich.console import Console

from qdiag.cli.console import remark
from qdiag.cli.waiting.display import Bar, Lines, Silence, make_display
from qdiag.cli.waiting.schedule import Schedule
from qdiag.cli.waiting.watched_run import WatchedRun, make_progress, shown
from qdiag.errors import ConfigError

ERASED = "\x1b[2K"


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def half_done() -> Schedule:
    clock = Clock()
    schedule = Schedule(clock=clock)
    schedule.expect({"rank": 200.0})
    schedule.enter("rank")
    schedule.begin_pass("repairs 3/9", 500)
    clock.now_s = 100.0
    schedule.advance(250)
    return schedule


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_bar_says_how_much_is_done_what_is_left_and_what_is_done_now(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(Bar(Console(width=width), half_done()).draw())
    first, second = out.getvalue().splitlines()
    assert len(first) <= width
    assert re.fullmatch(r"━+.*50 %, about 1.7 min left", first.rstrip())
    assert second == "rank, repairs 3/9, 250 of 500"


def test_the_bar_says_how_long_it_takes_as_long_as_nobody_knows_what_is_left() -> None:
    out = io.StringIO()
    Console(file=out, width=60, color_system=None).print(Bar(Console(width=60), Schedule(clock=Clock())).draw())
    assert out.getvalue().splitlines()[0].endswith("0 s so far")


def test_the_bar_leaves_no_trace_and_makes_room_for_remarks(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    run = WatchedRun(half_done(), Bar(Console(file=out, force_terminal=True, width=80, color_system=None), half_done()))
    with pytest.raises(KeyboardInterrupt), shown(run):
        drawn = len(out.getvalue())
        assert "50 %, about 1.7 min left" in out.getvalue()
        remark("12 passes kept", quiet=False)
        assert ERASED in out.getvalue()[drawn:]
        assert "50 %" in out.getvalue()[drawn:].split(ERASED)[-1]  # there again
        raise KeyboardInterrupt
    assert ERASED in out.getvalue().split("50 %")[-1]
    ended = len(out.getvalue())
    remark("stopped", quiet=False)
    assert len(out.getvalue()) == ended
    assert capsys.readouterr().err == "12 passes kept\nstopped\n"


def test_a_log_has_a_line_inside_a_long_stage() -> None:
    out = io.StringIO()
    lines = Lines(Console(file=out, width=80), half_done(), every_s=0.01)
    lines.open()
    until = time.monotonic() + 5.0
    while out.getvalue().count("\n") < 2 and time.monotonic() < until:
        time.sleep(0.002)
    lines.close()
    said = out.getvalue().splitlines()
    assert set(said) == {"50 % done, about 1.7 min left: rank, repairs 3/9, 250 of 500"}
    assert len(said) >= 2
    time.sleep(0.03)
    assert out.getvalue().splitlines() == said


def test_a_line_for_every_finished_pass_when_asked_for() -> None:
    out, schedule = io.StringIO(), half_done()
    run = WatchedRun(schedule, Lines(Console(file=out, width=80), schedule, names_passes=True))
    run.start("capture", None)
    run.start("calibrate", 32)
    run.advance(16)
    run.advance(16)
    run.finish()
    run.finish()
    lines = out.getvalue().splitlines()
    assert [line.rpartition(":")[0] for line in lines] == ["capture", "calibrate, 32 samples"]
    assert all(line.endswith(" s") for line in lines)


def test_a_pipe_gets_lines_even_where_colours_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_display(Schedule()), Lines)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(make_display(Schedule()), Lines)


def test_a_terminal_gets_a_bar_unless_it_is_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    outer, inner = pty.openpty()
    with os.fdopen(inner, "w") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        assert isinstance(make_display(Schedule()), Bar)
        assert isinstance(make_display(Schedule(), verbose=True), Lines)
        assert type(make_display(Schedule(), quiet=True)) is Silence
        patched.setenv("CI", "1")
        assert isinstance(make_display(Schedule()), Lines)
        patched.delenv("CI")
        patched.setenv("TERM", "dumb")
        assert isinstance(make_display(Schedule()), Lines)
    os.close(outer)


def test_quiet_and_verbose_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="exclude"):
        make_progress(quiet=True, verbose=True)
