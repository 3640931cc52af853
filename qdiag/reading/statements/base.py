"""A sentence with its proof, and where the parts of a result stand in its JSON."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

LAYERS_TOLD = 5
"""Of a result that has a row for each layer: those that matter most."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence, or a few that belong together.

    Attributes:
        id: short and unique in its result: `harm`, `suspect-1`, `step-2`, `change-1`, `proposal-1`, `layer-1`.
        text: in the words of the report.
        proofs: JSON pointers (RFC 6901) into the stored result.
    """

    id: str
    text: str
    proofs: tuple[str, ...]


class Places:
    """Where each part of a result stands in its JSON, whose names and order are those of the fields.

    Args:
        result: a frozen dataclass of plain values; parts are told apart by identity.
    """

    def __init__(self, result: object) -> None:
        self._pointers: dict[int, str] = {}
        for part, pointer in _parts(result, ""):
            self._pointers.setdefault(id(part), pointer)

    def of(self, *parts: object) -> tuple[str, ...]:
        """Of parts that are in the result; None is left out."""
        return tuple(dict.fromkeys(self._pointers[id(part)] for part in parts if part is not None))


def sentence(text: str) -> str:
    """A line of a header as a sentence: its first letter large, with a full stop."""
    return stopped(f"{text[:1].upper()}{text[1:]}")


def stopped(text: str) -> str:
    """With a full stop; what may begin with the name of a layer keeps its first letter."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def numbered(kind: str, told: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[Statement]:
    """Texts and proofs as `note-1`, `note-2` and so on."""
    for i, (text, proofs) in enumerate(told, 1):
        yield Statement(f"{kind}-{i}", text, proofs)


def _parts(part: Any, pointer: str) -> Iterator[tuple[Any, str]]:
    if is_dataclass(part) and not isinstance(part, type):
        yield part, pointer
        for field in fields(part):
            yield from _parts(getattr(part, field.name), f"{pointer}/{field.name}")
    elif isinstance(part, tuple):
        for i, item in enumerate(part):
            yield from _parts(item, f"{pointer}/{i}")
