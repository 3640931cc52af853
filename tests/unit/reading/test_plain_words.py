"""No private or metaphorical word in what users read: pages of codes, texts of the reading, help screens."""

import ast
import re
from inspect import cleandoc
from pathlib import Path

import pytest

from qdiag.core.causes.codes import CODES
from qdiag.detectors import DETECTORS

ROOT = Path(__file__).resolve().parents[3]
GONE = (
    *("blame", "blamed", "buries", "culprit", "cure", "gives back", "gone on with", "heal", "heals", "lane", "lanes"),
    *("at stake", "as loud", "kill", "kills", "next to nothing", "speaks up", "swallows", "twin", "twins", "victim"),
    *("victims", "way around", "ways around", "workshop", "what judges", "would settle it", "came out", "come out"),
    *("nothing found", "nothing to judge by", "there is no room for", "told by shape"),
)
"""Each had a meaning that only a reader of the code could know."""
_FOUND = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, GONE))})(?!\w)", re.IGNORECASE)


def gone_words(text: str) -> list[str]:
    """Those of `GONE` in a text, whatever white space is between their parts."""
    return _FOUND.findall(" ".join(text.split()))


def told_texts(source: str) -> list[str]:
    """String constants of a module that are sentences or parts of one: docstrings, names and keys are none."""
    tree = ast.parse(source)
    unseen = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in unseen]
    return [node.value for node in constants if isinstance(node.value, str) and " " in node.value]


def test_a_planted_word_is_found_and_part_of_another_one_is_not() -> None:
    assert gone_words("This repair\n    gives\n    back 3 pp, and a Twin loses none") == ["gives back", "Twin"]
    assert gone_words("accurate, killed, healthy, twine and lanes_of") == []
    assert told_texts('"""A twin."""\nkey = "twin"\nsaid = f"the twin {key} loses"\n') == ["the twin ", " loses"]


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.CODE)
def test_pages_of_codes_have_none_and_begin_with_a_sentence(detector: object) -> None:
    page = cleandoc(detector.__doc__ or "")
    assert gone_words(page) == []
    first = page.partition("\n\n")[0]
    assert first[:1].isupper() and first.endswith(".") and "\n" not in first


def test_titles_of_codes_have_none() -> None:
    assert [word for code in CODES for word in gone_words(code.title)] == []


@pytest.mark.parametrize("folder", ["reading", "cli/tables", "cli/options", "writers/markdown"])
def test_texts_of_a_folder_have_none(folder: str) -> None:
    paths = sorted((ROOT / "qdiag" / folder).rglob("*.py"))
    assert paths
    told = [(path.name, text) for path in paths for text in told_texts(path.read_text("utf-8"))]
    assert [(name, word) for name, text in told for word in gone_words(text)] == []


def test_help_screens_have_none() -> None:
    screens = sorted((ROOT / "tests" / "golden").glob("help_*.txt"))
    assert screens
    assert [(path.name, word) for path in screens for word in gone_words(path.read_text("utf-8"))] == []
