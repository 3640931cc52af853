"""Command lines and files that cannot be read: what is said, by walking all options of all commands with wrong values,
and all readers with files that are broken in the ways in which files break."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from qdiag.cli.app import COMMANDS, make_app, run
from tests import broken_files
from tests.foreign import FOREIGN_PHRASES

Capture = pytest.CaptureFixture[str]
APP: Any = typer.main.get_command(make_app())


def told(words: list[str], capsys: Capture) -> str:
    assert run(words) == 2, words
    captured = capsys.readouterr()
    assert [phrase for phrase in FOREIGN_PHRASES if phrase in captured.err] == [], captured.err
    assert captured.err.startswith("error: ")
    return " ".join(captured.err.split())


def arguments(name: str) -> list[str]:
    """As many as the command takes; none of them leads anywhere."""
    return [f"nowhere{place}" for place, p in enumerate(APP.commands[name].params) if p.param_type_name == "argument"]


def wrong_values() -> Iterator[tuple[str, list[str]]]:
    """Commands with one option each that has no value, a value too many, or one that it cannot take."""
    for name, command in APP.commands.items():
        for param in command.params:
            if param.param_type_name != "option":
                continue
            option = max(param.opts, key=len)
            if getattr(param, "is_flag", False):
                yield name, [f"{option}=3"]
                continue
            yield name, [option]
            described = param.type_descriptor if hasattr(param, "type_descriptor") else param.type
            if getattr(described, "choices", None):
                yield name, [option, "nothing-like-it"]
            elif param.metavar in ("N", "PIXELS", "NUMBER", "RATIO", "MINUTES"):
                yield name, [option, "x"]
            if getattr(param, "min", None) is not None:
                yield name, [option, str(param.min - 1)]
            if getattr(param, "max", None) is not None:
                yield name, [option, str(param.max + 1)]


def test_every_option_of_every_command_is_told_plainly(capsys: Capture) -> None:
    walked = 0
    for name, words in wrong_values():
        text = told([name, *arguments(name), *words], capsys)
        assert words[0].split("=")[0] in text, "the option is named"
        walked += 1
    assert walked > 900


def told_of(path: Path, words: list[str], capsys: Capture) -> None:
    """What is wrong with a file, where, and what to do: all three, and no option that the command does not have."""
    text = told(words, capsys)
    assert " where: " in text, text
    assert " hint: " in text, text
    assert "qdiag itself failed" not in text
    has = {option for param in APP.commands[words[0]].params for option in param.opts}
    hint = text.partition(" hint: ")[2]
    if "qdiag " not in hint:  # a whole command may have options of its own
        assert set(re.findall(r"(?<!\S)--[a-z-]+", hint)) <= has, text
    assert path.name[:100] in text or path.parent.name in text or "--" in text, text


@pytest.mark.parametrize(
    ("broken", "lines", "least"),
    [
        (broken_files.broken_models, ["bn {}"], 50),
        (broken_files.broken_arrays, [f"sqnr {broken_files.MODEL} --quiet --data {{}}"], 50),
        (broken_files.broken_folders, [f"sqnr {broken_files.MODEL} --quiet --data {{}}"], 16),
        (
            broken_files.broken_settings,
            [f"sqnr {broken_files.MODEL} --quiet --input-shape 1,3,8,8 --scheme {{}}", "gate nowhere.json --config {}"],
            10,
        ),
        (broken_files.broken_schemes, [f"sqnr {broken_files.MODEL} --quiet --input-shape 1,3,8,8 --scheme {{}}"], 50),
        (broken_files.broken_gates, ["gate nowhere.json --config {}"], 20),
        (broken_files.broken_results, ["gate {} --max-drop 1", "compare {} {}", "report {} -o out"], 15),
    ],
)
def test_every_reader_tells_broken_files_plainly(
    broken: Callable[[Path], Iterator[Path]],
    lines: list[str],
    least: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    walked = 0
    for path in broken(tmp_path):
        for line in lines:
            told_of(path, line.replace("{}", path.relative_to(tmp_path).as_posix()).split(), capsys)
        walked += 1
    assert walked >= least


def test_a_file_that_may_not_be_read_is_told_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    really_open = os.open

    def closed(name: Any, *arguments: Any, **keywords: Any) -> int:
        if Path(str(name)).stem == "x":
            raise PermissionError(13, "Permission denied", name)
        return really_open(name, *arguments, **keywords)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qdiag.files.read.os.open", closed)  # whoever is root may read everything
    model = broken_files.MODEL
    for suffix, line in {
        ".pt": "bn x.pt",
        ".npz": f"sqnr {model} --data x.npz",
        ".toml": f"sqnr {model} --input-shape 1,3,8,8 --scheme x.toml",
        ".json": "compare x.json x.json",
    }.items():
        (tmp_path / f"x{suffix}").write_bytes(b"x")
        assert "its permissions do not allow it where: x" in told(line.split(), capsys)


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_words_that_a_command_does_not_take(name: str, capsys: Capture) -> None:
    assert f"qdiag {name} has no option --nothing-like-it" in told([name, "--nothing-like-it"], capsys)
    needs = [param for param in APP.commands[name].params if param.required]
    if name not in ("reproduce", "cache") and all(param.param_type_name == "argument" for param in needs):
        assert "'too-much' as well" in told([name, *arguments(name), "too-much"], capsys)
    if needs:
        assert f"qdiag {name} needs " in told([name], capsys)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sqnr x.pt2 --preset imagnet", "did you mean imagenet?"),
        ("sqnr x.pt2 --device cdua", "where: --device hint: did you mean cuda?"),
        ("report x -o y --format htlm", "did you mean html?"),
        ("cache infoo", "where: info|clear hint: did you mean info?"),
        ("sqnr x.pt2 --preset photographs", "'photographs' is unknown; the choices are none, imagenet, "),
        ("diagnose x.pt2 --samples 1.5", "'1.5' is not a whole number where: --samples hint: write for example"),
        ("sqnr x.pt2 --datta y", "qdiag sqnr has no option --datta hint: did you mean --data?"),
        ("sqnr x.pt2 --data", "the option needs a value where: --data hint: write --data PATH"),
        ("sqnr x.pt2 --trust=3", "the option takes no value where: --trust hint: write --trust alone"),
        ("diagnos x.pt2", "qdiag has no command 'diagnos' hint: did you mean diagnose?"),
        ("sqnr", "qdiag sqnr needs MODEL hint: for example: qdiag sqnr net.pt2"),
        ("repair x.pt2", "qdiag repair needs --with hint: write --with REPAIR[,REPAIR...]"),
        ("--version=3", "the option takes no value where: --version"),
        ("diagnose x.pt2 --metric-limit nan", "nan is not a number where: --metric-limit"),
        ("verify x.pt2 --max-differing 101", "101 is above 100, the most that this option takes"),
        ("compare a b --json - --markdown -", "only one of --json and --markdown"),
        ("sqnr zoo:resnet18 --json - --csv -", "only one of --json and --csv"),
    ],
)  # fmt: skip
def test_what_is_wrong_where_and_what_was_meant(line: str, said: str, capsys: Capture) -> None:
    assert said in told(line.split(), capsys)
