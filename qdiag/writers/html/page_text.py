"""What is said on a page, once it is written: units stay beside their numbers, and codes open what they mean."""

import re
from collections.abc import Callable, Iterable, Mapping

from qdiag.reading.words.numbers import held_together

_CODE = re.compile(r"\bQD\d{3}\b")
_CODE_AND_MARKS = re.compile(r"(\(?)\b(QD\d{3})\b([).,;:]*)")
_LITERAL = "script|style|title|pre|code|button"
"""Elements whose text is copied, run or compared as it stands."""


def held_page(page: str) -> str:
    """HTML in which no line ends between a number and its unit."""
    return _with_texts(page, _LITERAL, lambda text: held_together(text, "\N{NO-BREAK SPACE}"))


def codes_in(page: str, known: Iterable[str]) -> set[str]:
    """The known codes that HTML speaks of."""
    found: set[str] = set()

    def note(text: str) -> str:
        found.update(_CODE.findall(text))
        return text

    _with_texts(page, "script|style|title", note)
    return found & set(known)


def with_explained(codes: Iterable[str], meanings: Mapping[str, tuple[str, str]]) -> list[str]:
    """The codes, and those that their meanings speak of in turn, in order."""
    found: set[str] = set()
    left = set(codes) & set(meanings)
    while left:
        found |= left
        left = {code for one in left for code in _CODE.findall(" ".join(meanings[one]))} & set(meanings) - found
    return sorted(found)


def linked_codes(page: str, codes: Iterable[str]) -> str:
    """HTML in which each of the codes in a sentence is a button that opens its explanation, `#means-CODE`."""
    explained = frozenset(codes)

    def link(code: re.Match[str]) -> str:
        before, name, behind = code.groups()
        if name not in explained:
            return code[0]
        button = f'<button type="button" class="code" popovertarget="means-{name}">{name}</button>'
        return f'<span class="held">{before}{button}{behind}</span>' if before or behind else button

    return _with_texts(page, f"{_LITERAL}|h2|a|span(?= class=.code.)", lambda text: _CODE_AND_MARKS.sub(link, text))


def _with_texts(page: str, literal: str, change: Callable[[str], str]) -> str:
    """HTML with another text wherever there is text, but for some elements."""
    parts = re.compile(rf"<({literal})\b.*?</\1\s*>|(?<=>)[^<]+", re.DOTALL)
    return parts.sub(lambda part: part[0] if part[1] else change(part[0]), page)
