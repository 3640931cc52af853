"""What a package index shows: links of the README that work there."""

import re
from pathlib import Path
from typing import Any

from tools.package_page import VARIABLE, PackagePage, page

ROOT = Path(__file__).resolve().parents[2]
HOME = "https://example.org/team/qdiag"


def filled(**environment: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    PackagePage(str(ROOT), {}).fill(metadata, environment)
    return metadata


def test_every_link_of_the_page_is_absolute() -> None:
    metadata = filled(**{VARIABLE: f"{HOME}/"})
    links = re.findall(r"\]\(([^)\s]+)\)", metadata["readme"]["text"])
    assert len(links) > 40
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert f"]({HOME}/raw/main/docs/images/demo-sqnr.png)" in metadata["readme"]["text"]
    assert f"({HOME}/blob/main/docs/rank.md)" in metadata["readme"]["text"]
    assert all(address.startswith(HOME) for address in metadata["urls"].values()) and len(metadata["urls"]) == 4


def test_without_an_address_the_readme_stays_as_it_is() -> None:
    metadata = filled()
    assert metadata["readme"]["text"] == (ROOT / "README.md").read_text(encoding="utf-8")
    assert metadata["urls"] == {}


def test_absolute_links_and_places_of_the_page_stay() -> None:
    text = "[a](https://a.b/c) [b](#here) [c](docs/x.md#y) ![d](docs/d.png)"
    expected = f"[a](https://a.b/c) [b](#here) [c]({HOME}/blob/main/docs/x.md#y) ![d]({HOME}/raw/main/docs/d.png)"
    assert page(text, HOME) == expected
