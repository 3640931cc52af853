"""Why the operating system refuses something: in words of our own, whatever the system is called in its own."""

import errno
import json
import os

import pytest

from qdiag.files.refusal import refusal


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_no_word_of_the_system_is_repeated(number: int) -> None:
    told = refusal(OSError(number, os.strerror(number), "net.pt2"))
    assert told and os.strerror(number) not in told and "net.pt2" not in told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the disk is full"),
        (FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "x"), "there is no such file"),
        (OSError(errno.EFBIG, "it is larger than 99 bytes"), "it is larger than 99 bytes"),
        (UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "invalid start byte"), "byte 1 is no part of a UTF-8 text"),
        (RecursionError("maximum recursion depth exceeded"), "it is nested too deeply"),
    ],
)
def test_what_is_said(error: Exception, told: str) -> None:
    assert refusal(error) == told


def test_a_place_in_json() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads('{\n"a": }')
    assert refusal(caught.value) == "line 2, column 6 is no JSON"
