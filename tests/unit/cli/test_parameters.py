"""Only the command line names options: the library names parameters, and one table turns one into the other."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from qdiag.cli.app import make_app
from qdiag.cli.parameters import OPTIONS, as_advice, as_options, gate_with_options, one_command, options_are
from qdiag.core.gate import GateCheck, GateResult

LIBRARY = Path(__file__).parents[3] / "qdiag"
COMMANDS = re.compile(r"\bqdiag [a-z]")
"""Text that proposes a whole command may name its options; `reading/words` and the report make such text."""
WRITE_COMMANDS = ("cli", "reading/words", "writers/markdown/report.py")


@cache
def literals(path: Path) -> tuple[tuple[int, str], ...]:
    """Texts of a module, without what documents it."""
    return tuple(_literals(path))


def _literals(path: Path) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def library_texts() -> Iterator[tuple[str, str]]:
    for path in sorted(LIBRARY.rglob("*.py")):
        place = path.relative_to(LIBRARY).as_posix()
        if not place.startswith(WRITE_COMMANDS):
            yield from ((f"{place}:{line}", text) for line, text in literals(path))


def test_the_library_names_no_options() -> None:
    texts = list(library_texts())
    assert len(texts) > 3000
    found = [
        (place, text) for place, text in texts if re.search(r"(?<![\w-])--[a-z]", text) and not COMMANDS.search(text)
    ]
    assert not found


def test_what_it_names_in_backticks_with_a_value_is_a_parameter() -> None:
    named = [(place, name) for place, text in library_texts() for name in re.findall(r"`([a-z_]+)=", text)]
    assert len(named) > 10
    assert not [(place, name) for place, name in named if name not in OPTIONS]


def test_every_option_exists() -> None:
    commands = get_command(make_app()).commands.values()  # type: ignore[attr-defined]
    known = {option for command in commands for parameter in command.params for option in parameter.opts}
    assert not set(OPTIONS.values()) - known


def test_every_parameter_is_named_somewhere() -> None:
    words = [text for path in (LIBRARY / "reading" / "words").rglob("*.py") for _, text in literals(path)]
    texts = " ".join([*words, *(text for _, text in library_texts())])
    assert not [name for name in OPTIONS if f"`{name}`" not in texts and f"`{name}=" not in texts]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("`input_shape`", "--input-shape"),
        ("give `arch=./net.py:factory`, or `trust`", "give --arch ./net.py:factory, or --trust"),
        ("`overrides=weights.bits=4`", "--set weights.bits=4"),
        ("name it at `repairs`", "name it at --with"),
        ("`forward` and `a=b` are no parameters, `", "`forward` and `a=b` are no parameters, `"),
        ("", ""),
    ],
)
def test_parameters_become_options(text: str, told: str) -> None:
    assert as_options(text) == told


def test_reasons_of_a_gate_name_options() -> None:
    checks = (GateCheck("max_drop", "fail", reason="`allow_few_samples` lets it pass"), GateCheck("max_drop", "pass"))
    told = gate_with_options(GateResult("x", checks, strict=False))
    assert [check.reason for check in told.checks] == ["--allow-few-samples lets it pass", ""]


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("check the size; `crop` changes it", "check the size"),
        ("give `arch=./net.py:factory`, or `trust`", "give --arch ./net.py:factory"),
        ("give `trust`, or `arch=./net.py:factory`", "give --arch ./net.py:factory"),
        ("give `batch_size=1`", "give the batch size 1"),
        ("`arch` says how", "--arch says how"),
    ],
)
def test_a_command_names_only_options_that_it_has(hint: str, told: str) -> None:
    with one_command():
        options_are(["--arch"])
        assert as_advice(hint) == told
    assert as_options("`trust`") == "--trust"


def test_what_is_only_parsed_leaves_every_option_to_be_named() -> None:
    options_are(["--arch"])
    assert as_options("`max_drop=1`") == "--max-drop 1"
    with one_command():
        assert as_options("`max_drop=1`") == "--max-drop 1", "it is not known yet which command runs"
        options_are(["--arch"])
        assert as_options("`max_drop=1`") == "the max drop 1"
    assert as_options("`max_drop=1`") == "--max-drop 1"
