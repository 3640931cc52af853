"""The screens of `--help` of all commands, and of `--help-all` of those that have most options between them."""

from collections.abc import Callable

import pytest

from qdiag.cli.app import COMMANDS, run

SCREENS = {
    "help_qdiag": "--help",
    **{f"help_{name}": f"{name} --help" for name, _, _ in COMMANDS},
    **{f"help_all_{name}": f"{name} --help-all" for name in ("diagnose", "fix-bn", "gate", "qat", "verify")},
}


@pytest.mark.parametrize("name", SCREENS)
def test_help(
    name: str,
    check_golden: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(SCREENS[name].split()) == 0
    check_golden(f"{name}.txt", capsys.readouterr().out)
