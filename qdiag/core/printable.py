"""Text that came from elsewhere (names of layers, files and classes, messages of libraries), made safe to be shown.

Everything that shows or writes text for people passes through here: the terminal, Markdown, HTML, pictures, CSV, JUnit,
SARIF, annotations. What a terminal, a browser or a CI system would act on becomes a visible escape.
"""

import re

_ACTIVE = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # directions of writing
    "\u2028\u2029"  # ends of lines and paragraphs
    "\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # without width
    "\ud800-\udfff\ufffe\uffff"  # no characters at all: halves of pairs, bytes of a file name that are no text
    "\U000e0000-\U000e007f"  # tags, which are invisible
)
_ANY = re.compile(f"[{_ACTIVE}]")
_ANY_BUT_LINES = re.compile(f"(?!\n)[{_ACTIVE}]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, *, lines: bool = False) -> str:
    """The text with `\\x1b`, `\\u202e`, ... in place of characters that do something rather than show something.

    Args:
        lines: ends of lines (`\\n`) are the caller's own and stay.
    """
    if text.isprintable():  # what Python calls so holds none of the above; many times faster than a search
        return text
    return (_ANY_BUT_LINES if lines else _ANY).sub(_escape, text)


def is_printable(text: str) -> bool:
    """Whether `printable` would leave the text as it is."""
    return text.isprintable() or _ANY.search(text) is None


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in _SHORT:
        return _SHORT[character]
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how Python keeps a byte of a file name that is no UTF-8
        return f"\\x{number - 0xDC00:02x}"
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
