"""Progress in words, for logs: a line per finished stage."""

import io

import pytest
from rich.console import Console

from qdiag.cli.console import LineProgress, make_progress
from qdiag.errors import ConfigError


def test_a_line_for_every_finished_stage() -> None:
    text = io.StringIO()
    progress = LineProgress(Console(file=text, width=80))
    progress.start("capture", None)
    progress.start("calibrate", 32)
    progress.advance(16)
    progress.advance(16)
    progress.finish()
    progress.finish()
    lines = text.getvalue().splitlines()
    assert [line.rpartition(":")[0] for line in lines] == ["capture", "calibrate, 32 samples"]
    assert all(line.endswith(" s") for line in lines)


def test_quiet_and_verbose_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="exclude"):
        make_progress(quiet=True, verbose=True)
