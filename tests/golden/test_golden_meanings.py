"""A report says of a code what its detector says, of a term what the glossary does; `make golden` writes both anew."""

import json
import re
from dataclasses import asdict
from inspect import cleandoc
from pathlib import Path

import pytest

from qdiag.detectors import DETECTORS
from qdiag.reading import meanings, terms
from qdiag.reading.layers.columns import layer_columns
from qdiag.reading.layers.entry import diagnosed_entries
from qdiag.reading.words.causes import VERDICT_WORDS
from tests.diagnoses import diagnosis

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ROOT / "qdiag" / "reading" / meanings.FILE_NAME
GLOSSARY, DOCS = ROOT / "qdiag" / "reading" / terms.FILE_NAME, ROOT / "docs"


def paragraphs(page: str) -> list[str]:
    """The first sentence of a page, and the first paragraph of what it means."""
    summary, meaning = cleandoc(page).split("\n\n")[:2]
    title, _, text = meaning.partition("\n")
    assert title == "What it means:"
    return [" ".join(part.split()) for part in (summary, text)]


def glossary_terms(text: str) -> tuple[terms.Term, ...]:
    """The tables of docs/glossary.md: a row for each term, its names in bold."""
    found, section = list[terms.Term](), ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if not line.startswith("| **"):
            continue
        names, words = (part.strip() for part in line.strip("|").split(" | ", 1))
        page = re.search(r" See \[[^]]*\]\(([^)]*)\)\.?$", words)
        bold = re.findall(r"\*\*(.+?)\*\*", names)
        short = [name.removesuffix(" SQNR") for name in bold if name.endswith(" SQNR")]
        plain = re.sub(r"\*|`", "", words[: page.start()] if page else words)
        found.append(
            terms.Term(section, (*bold, *short), names.replace("**", ""), plain.rstrip("."), page[1] if page else "")
        )
    return tuple(found)


def test_meanings_are_those_of_the_detectors(request: pytest.FixtureRequest) -> None:
    expected = {one.CODE: paragraphs(one.__doc__ or "") for one in DETECTORS}
    if request.config.getoption("--update-golden"):
        WRITTEN.write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert {code: list(texts) for code, texts in meanings.meanings().items()} == expected


def test_terms_are_those_of_the_glossary(request: pytest.FixtureRequest) -> None:
    expected = glossary_terms((DOCS / "glossary.md").read_text(encoding="utf-8"))
    if request.config.getoption("--update-golden"):
        rows = [asdict(term) for term in expected]
        GLOSSARY.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        terms.terms.cache_clear()
    assert terms.terms() == expected
    assert all((DOCS / term.page).is_file() for term in expected if term.page)
    assert not [term for term in expected if {"*", "`", "["} & set(term.words + term.shown)]


def test_columns_of_layers_and_verdicts_are_in_the_glossary() -> None:
    known = terms.terms_by_name()
    columns = layer_columns(diagnosed_entries(diagnosis()))
    assert {column.label for column in columns} - set(known) == {"operation", "findings"}
    assert set(terms.VERDICT_TERMS) == set(VERDICT_WORDS)
    assert set(terms.VERDICT_TERMS.values()) <= set(known)
