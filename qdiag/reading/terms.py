"""The glossary, which a report shows where a term stands: docs/glossary.md, written down for the package by a test."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby

FILE_NAME = "glossary.json"
VERDICT_TERMS = {
    "cause": "cause",
    "harmless": "harmless here",
    "undecided": "undecided",
    "untested": "not tested",
    "fused": "a cause once fused",
}
"""The term of each verdict on a suspect."""


@dataclass(frozen=True, slots=True)
class Term:
    """One row of the glossary.

    Attributes:
        names: what it is called, plain. shown: all of them, as the glossary has it.
        page: in docs/, where more is said; empty where there is none.
    """

    section: str
    names: tuple[str, ...]
    shown: str
    words: str
    page: str


@cache
def terms() -> tuple[Term, ...]:
    """In the order of the glossary."""
    rows = json.loads(files("qdiag.reading").joinpath(FILE_NAME).read_text(encoding="utf-8"))
    return tuple(Term(**{**row, "names": tuple(row["names"])}) for row in rows)


@cache
def sections() -> Mapping[str, tuple[Term, ...]]:
    """The same by their sections."""
    return {section: tuple(group) for section, group in groupby(terms(), lambda term: term.section)}


@cache
def terms_by_name() -> Mapping[str, Term]:
    """By each of its names; of two with the same the first."""
    found: dict[str, Term] = {}
    for term in terms():
        for name in term.names:
            found.setdefault(name, term)
    return found
