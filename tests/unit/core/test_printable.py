import sys
import unicodedata

import pytest

from qdiag.core.printable import is_printable, printable


def test_what_does_something_is_escaped_and_what_shows_something_stays() -> None:
    assert printable("a\nb\r\t\x1b[31m\x7f\x9b\u202e\u2028\ufeff\udcff") == (
        "a\\nb\\r\\t\\x1b[31m\\x7f\\x9b\\u202e\\u2028\\ufeff\\xff"
    )
    assert printable("a\nb", lines=True) == "a\nb"
    ordinary = "Größe é 数 ✅ 👩‍🔬 ف a|b<c>&\"'`\\n"
    assert printable(ordinary) is ordinary or printable(ordinary) == ordinary


@pytest.mark.parametrize("category", ["Cc", "Cs", "Zl", "Zp"])
def test_no_character_of_these_kinds_is_left(category: str) -> None:
    for number in range(sys.maxunicode + 1):
        if unicodedata.category(chr(number)) == category:
            assert not is_printable(chr(number)), hex(number)
            assert printable(chr(number)).isascii()


def test_nothing_that_changes_the_direction_of_writing_is_left() -> None:
    for number in range(sys.maxunicode + 1):
        if unicodedata.bidirectional(chr(number)) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}:
            assert not is_printable(chr(number)), hex(number)
    for mark in "\u200e\u200f\u061c":
        assert not is_printable(mark)


def test_doing_it_twice_changes_nothing() -> None:
    everything = "".join(map(chr, range(0x3000)))
    assert printable(printable(everything)) == printable(everything)
    assert is_printable(printable(everything))
