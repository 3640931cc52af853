"""The first screen of every command, and the long one: what they hold, and that they fit."""

import re

import pytest
import typer.main

from qdiag.cli.app import COMMANDS, make_app, run
from qdiag.cli.help.command import PANELS
from qdiag.cli.help.first_options import CHOSEN, SELDOM, first_options
from tests.foreign import FOREIGN_PHRASES

NAMES = [name for name, _, _ in COMMANDS]
Capture = pytest.CaptureFixture[str]


def shown(line: str, columns: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(line.split()) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_the_first_screen_fits_a_terminal(name: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(f"{name} --help", 80, capsys, monkeypatch)
    assert len(lines) <= 40
    assert [line for line in lines if len(line) > 80] == []
    assert lines[0].startswith(f"Usage: qdiag {name}")
    assert lines[2].endswith(".") and len(lines[2]) <= 65, "the first sentence is one line of `qdiag --help` as well"
    assert any(f"qdiag {name} --help-all" in line for line in lines)
    assert "Examples:" in lines


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("columns", [80, 120, 200])
def test_the_long_screen_has_every_option_within_the_terminal(
    name: str, columns: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(f"{name} --help-all", columns, capsys, monkeypatch)
    assert [line for line in lines if len(line) > columns] == []
    found = typer.main.get_command(make_app([name]))
    command = getattr(found, "commands", {name: found})[name]
    words = set(re.findall(r"(?<!\S)--?[a-z][\w-]*", "\n".join(lines)))
    for param in command.params:
        if param.param_type_name == "option":
            assert set(param.opts) <= words, param.opts
            assert param.help and param.help.endswith("."), f"{param.opts}: a sentence"
            assert param.help[0].isupper(), f"{param.opts}: a sentence"


@pytest.mark.parametrize("name", NAMES)
def test_no_screen_has_words_of_a_library(name: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(shown(f"{name} --help-all", 200, capsys, monkeypatch))
    assert [phrase for phrase in FOREIGN_PHRASES if phrase in text] == []
    assert "<bool>" not in text and "[x>=" not in text


def test_all_commands_stand_in_the_help_once(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown("--help", 80, capsys, monkeypatch)
    listed = [line.split()[0] for line in lines if re.match(r"  [a-z]", line)]
    assert sorted(listed) == sorted(NAMES) == sorted(name for _, names in PANELS for name in names)
    assert [line for line in lines if len(line) > 80] == []
    assert len([line for line in lines if re.match(r" {8}", line)]) <= 3, "one line for each command"


def test_options_that_are_chosen_exist() -> None:
    app = typer.main.get_command(make_app())
    for name, chosen in CHOSEN.items():
        options = {param.name for param in app.commands[name].params}  # type: ignore[attr-defined]
        assert set(chosen) <= options, name


def test_a_command_shows_its_own_options_and_few_of_those_that_all_have() -> None:
    names = ["arch", "trust", "data", "preset", "seed", "scheme", "set_", "order", "force", "json", "quiet"]
    assert "force" in SELDOM
    assert first_options("sqnr", names) == ("data", "preset", "scheme", "order", "json")


def test_examples_can_be_pasted(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown("repair --help", 80, capsys, monkeypatch)
    start = lines.index("Examples:")
    assert lines[start + 1].endswith(" \\") and lines[start + 2].startswith("      --")


def test_without_words_the_help_is_shown(capsys: Capture) -> None:
    assert run([]) == 2
    assert "qdiag diagnose MODEL" in " ".join(capsys.readouterr().out.split())
