"""Commands as the user's shell reads them."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdiag.reading.words.commands import shell
from qdiag.reading.words.commands.shell import command_line, wrapped

_WORDS = st.lists(st.text("ab-=;$ '\"\\|*", min_size=1, max_size=12), max_size=5)


@given(_WORDS, st.integers(20, 100))
def test_a_wrapped_command_is_the_same_command(words: list[str], width: int) -> None:
    line = command_line(["sqnr", "net.pt2", "--data", "my photos", "--preset", "tf", *words])
    assert shlex.split(wrapped(line, width).replace("\\\n", "")) == shlex.split(line)


def test_each_line_of_a_wrapped_command_begins_with_an_option() -> None:
    line = command_line(["sqnr", "net.pt2", "--data", "my --best photos", "--set", 'a="b"', "--scheme", "int8"])
    assert wrapped(line, 40).split("\n") == [
        "qdiag sqnr net.pt2 \\",
        "    --data 'my --best photos' \\",
        "    --set 'a=\"b\"' --scheme int8",
    ]
    assert wrapped(line, 200) == line and wrapped("# a comment that is long", 10) == "# a comment that is long"


def test_files_below_the_working_folder_have_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inside, outside = tmp_path / "runs" / "net.pt2", tmp_path.parent / "net.pt2"
    assert command_line(["view", str(inside)]) == "qdiag view runs/net.pt2"
    assert command_line(["view", str(outside)]) == f"qdiag view {outside}"


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("net.pt2", "net.pt2"),
        (r"C:\runs\net.pt2", r"C:\runs\net.pt2"),
        ("my photos", '"my photos"'),
        ('weights.calibrator="mse"', r'"weights.calibrator=\"mse\""'),
        ("zoo:net?width=0.25", '"zoo:net?width=0.25"'),
        ("ends in a \\", r'"ends in a \\"'),
        ("", '""'),
    ],
)
def test_on_windows_words_stand_in_double_quotes(word: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "_IS_WINDOWS", True)
    assert shell.quoted(word) == told
    assert wrapped("qdiag sqnr net.pt2 --data photos", 10) == "qdiag sqnr net.pt2 --data photos"
