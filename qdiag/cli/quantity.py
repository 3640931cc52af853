"""Numbers that stay on the line of their unit, or of what they count, wherever a sentence is broken."""

import re

from rich.console import Console
from rich.text import Text

from qdiag.reading.words.numbers import held_together

_STANDS_FOR_A_BLANK = "\ue000"
"""A character without a meaning of its own, at which no line is broken. Rich and textwrap break at no-break spaces too
or print them, and a command or a figure that is copied should hold common blanks."""
_COUNTED = r"samples?|layers?|channels?|classes|pass|passes|operations?|BatchNorms?|epochs?|scales?"
_NUMBERED = r"(?<=\bseed)|(?<=\bbatch)|(?<=\blayer)|(?<=\bchannel)"
_NOUN = re.compile(rf"(?<=\d) (?=(?:{_COUNTED})\b)|(?:{_NUMBERED}) (?=\d)")


def held(text: Text) -> Text:
    """The text with a stand-in for each blank between a number and its unit; `freed` puts the blanks back."""
    plain = held_words(text.plain)
    if plain == text.plain:
        return text
    shown = text.copy()
    shown.plain = plain
    return shown


def held_words(words: str) -> str:
    """As `held`, for plain words."""
    return _NOUN.sub(_STANDS_FOR_A_BLANK, held_together(words, _STANDS_FOR_A_BLANK))


def freed(words: str) -> str:
    """The words as they were before `held`."""
    return words.replace(_STANDS_FOR_A_BLANK, " ")


def lines_of(text: Text, width: int) -> list[Text]:
    """The text in lines of at most `width` columns, none of which ends between a number and its unit."""
    lines = list(held(text).wrap(Console(width=width), width))
    for line in lines:
        line.plain = freed(line.plain)
    return lines
