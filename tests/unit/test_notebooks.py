"""The notebooks run from top to bottom, and hold what their cells give."""

from pathlib import Path

import pytest

from tools.notebooks import FOLDER, code_cells, run_notebook, to_text

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
DOCS = FOLDER.parent


def test_there_are_three_and_a_page_leads_to_each() -> None:
    assert len(NOTEBOOKS) == 3
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    assert [path.name for path in NOTEBOOKS if f"](notebooks/{path.name})" not in page] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs_and_gives_what_is_stored(path: Path) -> None:
    before, again = path.read_text(encoding="utf-8"), run_notebook(path)
    stored, given = (list(map(_words, code_cells(one))) for one in (_read(before), again))
    assert sum(map(bool, stored)) >= len(stored) - 1, "nearly every cell shows something"
    assert given == stored
    assert to_text(_read(before)) == before
    assert str(FOLDER.parents[1]) not in before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_site_has_a_page_of_each_with_all_that_its_cells_give(path: Path) -> None:
    pytest.importorskip("mkdocs")
    from tools.site_notebooks import notebook_page, on_page_markdown

    notebook = _read(path.read_text(encoding="utf-8"))
    page = notebook_page(notebook, path.name)
    for cell in code_cells(notebook):
        assert "".join(cell["source"]) in page
        for output in cell["outputs"]:
            assert "".join(output.get("text") or output["data"]["text/plain"]).rstrip() in page
    assert page.startswith("# ")
    assert "](../../" not in page, "leads out of the site"
    assert page.count("```") == 2 * (len(code_cells(notebook)) + sum(len(c["outputs"]) for c in code_cells(notebook)))
    link = f"[a](notebooks/{path.name})"
    assert on_page_markdown(link) == f"[a](notebooks/{path.stem}.md)"
    assert on_page_markdown(page).endswith(f"[{path.name}]({path.name})\n"), "the file itself can be had too"


def _read(text: str) -> dict[str, object]:
    import json

    found: dict[str, object] = json.loads(text)
    return found


def _words(cell: dict[str, object]) -> list[str]:
    """Words that a cell gives; of numbers those before the point, which other machines give too."""
    outputs = cell["outputs"]
    assert isinstance(outputs, list)
    texts = ["".join(one.get("text") or one["data"]["text/plain"]) for one in outputs]
    return [word.partition(".")[0] for text in texts for word in text.split()]
