import sys

import pytest

from qdiag.cli.console import print_error, stdout_console
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
