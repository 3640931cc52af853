import io
import sys

import pytest
from rich.console import Console

from qdiag.cli.console import ConsoleProgress, make_progress, print_error, stdout_console
from qdiag.core.progress import NoProgress
from qdiag.errors import LoadError


def test_without_a_terminal_or_when_quiet_nothing_is_drawn() -> None:
    assert isinstance(make_progress(quiet=False), NoProgress)
    assert isinstance(make_progress(quiet=True), NoProgress)


def test_the_bar_names_stage_and_steps_and_leaves_no_trace() -> None:
    out = io.StringIO()
    progress = ConsoleProgress(Console(file=out, force_terminal=True, width=80, color_system=None))
    progress.start("calibrate", 4)
    progress.advance()
    progress.advance(2)
    progress.finish()
    progress.advance()  # after the end: ignored
    text = out.getvalue()
    assert "calibrate" in text
    assert "3/4" in text
    assert "\x1b[2K" in text.split("3/4")[-1]  # erased


def test_an_error_is_never_wrapped(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_error(
        LoadError("truncated after 12 bytes", at="a/very/long/path/to/a/network.safetensors", hint="copy it again")
    )
    assert capsys.readouterr().err.splitlines() == [
        "error: truncated after 12 bytes",
        "  where: a/very/long/path/to/a/network.safetensors",
        "  hint:  copy it again",
    ]


def test_a_pipe_is_wide_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    assert stdout_console().width == 160
    monkeypatch.setenv("COLUMNS", "77")
    assert stdout_console().width == 77
