"""What is said of a text that is no TOML: every message of the parser, in words of our own, with its place."""

import sys

import pytest

from qdiag.config.toml_fault import toml_fault

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.mark.parametrize(
    ("text", "fact", "place"),
    [
        ("a 3", "there is no = behind the key", ", line 1, column 3"),
        ("a = \n", "what stands behind = is no value: a text needs quotation marks", ", line 1, column 5"),
        ("[gate\n", "a bracket is not closed", ", line 1, column 6"),
        ("a = [1, 2", "a list is not closed", ", at its end"),
        ('a = "x', "a text is not closed by a quotation mark", ", at its end"),
        ("a = 1\na = 2", "the key is given twice", ", at its end"),
        ("[a]\n[a]", "the table is given twice", ", line 2, column 3"),
        ("a = 1 2", "something stands behind the value, in the same line", ", line 1, column 7"),
        ("=", "this is neither a key with a value nor a [table]", ", line 1, column 1"),
        ("a = {b = 1", "a table in braces is not closed", ", at its end"),
        ('a = "\\q"', "a backslash does not fit what follows it", ", line 1, column 8"),
        ("a = " + "9" * 5000, "a number is too long", ""),
    ],
)
def test_facts_and_places(text: str, fact: str, place: str) -> None:
    with pytest.raises(ValueError) as caught:
        tomllib.loads(text)
    assert toml_fault(caught.value) == (fact, place)
