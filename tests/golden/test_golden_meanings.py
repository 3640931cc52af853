"""A report says of a code what its detector says of it; `make golden` writes that down anew."""

import json
from inspect import cleandoc
from pathlib import Path

import pytest

from qdiag.detectors import DETECTORS
from qdiag.reading import meanings

WRITTEN = Path(__file__).resolve().parents[2] / "qdiag" / "reading" / meanings.FILE_NAME


def paragraphs(page: str) -> list[str]:
    """The first sentence of a page, and the first paragraph of what it means."""
    summary, meaning = cleandoc(page).split("\n\n")[:2]
    title, _, text = meaning.partition("\n")
    assert title == "What it means:"
    return [" ".join(part.split()) for part in (summary, text)]


def test_meanings_are_those_of_the_detectors(request: pytest.FixtureRequest) -> None:
    expected = {one.CODE: paragraphs(one.__doc__ or "") for one in DETECTORS}
    if request.config.getoption("--update-golden"):
        WRITTEN.write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert {code: list(texts) for code, texts in meanings.meanings().items()} == expected
