import os
import sys

import pytest

from qdiag.cli import console
from qdiag.cli.console import PrintableConsole, print_error, stdout_console
from qdiag.errors import LoadError


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


def test_a_terminal_without_control_sequences_has_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(console, "get_terminal_size", lambda fallback: os.terminal_size((200, 40)))
    assert PrintableConsole(force_terminal=True).width == 200
    monkeypatch.setenv("COLUMNS", "120")
    assert PrintableConsole(force_terminal=True).width == 120
    assert PrintableConsole(force_terminal=True, width=90).width == 90
