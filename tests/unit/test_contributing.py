"""CONTRIBUTING.md shows code that is there, the site has every page, and the workflows run what there is."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SOURCES = (
    "qdiag/core/causes/codes.py",
    "qdiag/detectors/weights/uncentred_signs.py",
    "tests/planted/faults_low_bits.py",
    "tests/planted/faults_low_bits.py",
    "qdiag/repairs/low_bits/center_weights.py",
    "tests/unit/repairs/test_low_bit_repairs.py",
)
"""Where each block of the page comes from, in its order."""
BLOCKS = [textwrap.dedent(text) for text in re.findall(r"^ *```python\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / ".github/workflows").iterdir()
}


def test_every_block_has_a_source() -> None:
    assert len(BLOCKS) == len(SOURCES)


@pytest.mark.parametrize(("block", "source"), list(zip(BLOCKS, SOURCES, strict=False)))
def test_the_walks_show_the_code_as_it_is(block: str, source: str) -> None:
    code = textwrap.dedent((ROOT / source).read_text(encoding="utf-8"))
    lines = [line.strip() for line in code.splitlines()]
    shown = [line.strip() for line in block.rstrip().splitlines()]
    assert any(lines[start : start + len(shown)] == shown for start in range(len(lines))), block


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md"])
def test_what_the_page_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:qdiag|tests|docs)/[\w./-]+)`", text)) | set(
        re.findall(r"\]\((?!\w+:)([^)#]+)\)", text)
    )
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def nav_pages(nav: list[Any]) -> list[str]:
    return [page for group in nav for page in ([group] if isinstance(group, str) else next(iter(group.values())))]


def test_the_site_has_every_page_and_the_readme_the_same_groups() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = nav_pages(config["nav"])
    assert sorted(pages) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    documentation = readme[readme.index("## Documentation") :]
    for group in config["nav"][1:]:
        ((name, expected),) = group.items()
        (block,) = re.findall(rf"^\*\*{name}\*\*\n\n(.*?)\n\n", documentation, re.MULTILINE | re.DOTALL)
        listed = re.findall(r"^- \[docs/([\w-]+\.md)\]", block, re.MULTILINE)
        assert [page for page in listed if page != "index.md"] == expected


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_workflows_run_what_there_is(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all("${{" not in step.get("run", "") for step in steps), "values reach scripts as variables, never as code"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for script in (step["run"] for step in steps if "run" in step):
        for target in re.findall(r"\bmake (\w+)", script):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        for path in re.findall(r"\bbash (\S+)", script):
            assert (ROOT / path).is_file()
