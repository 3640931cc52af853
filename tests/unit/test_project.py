"""The promises that the project makes about itself: public names, sizes of files, versions."""

import inspect
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import qdiag

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = (
    *("compare", "demo", "diagnose", "gate", "load_diagnosis", "load_model", "load_scheme"),
    *("measure", "qat", "ranges", "repair"),
)
LINES_AT_MOST = 250
FILES_AT_MOST = 17
"""Sixteen and `__init__.py`."""
NAMES_AT_MOST = 22
"""What can be kept in mind: eleven functions, their results and the values those are made of, the scheme, the error.
Training took three: the function, its settings, which a caller writes down, and its result. Five are what a notebook
does with results: it loads, compares, gates and repairs, and has a demo to try all of this on.
What lies deeper (a cause, a trial, a finding) is reached through a `Diagnosis`, and named by `qdiag.core`."""


def test_public_names_are_few_and_sorted() -> None:
    assert len(qdiag.__all__) <= NAMES_AT_MOST
    assert sorted(set(qdiag.__all__)) == qdiag.__all__
    assert dir(qdiag) == qdiag.__all__
    assert set(FUNCTIONS) <= set(qdiag.__all__)


@pytest.mark.parametrize("name", qdiag.__all__)
def test_public_names_exist_and_are_documented(name: str) -> None:
    thing = getattr(qdiag, name)
    text = inspect.getdoc(thing) or ""
    assert text
    assert not text.startswith(f"{thing.__name__}("), "what dataclasses write of themselves is no documentation"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_are_typed(name: str) -> None:
    signature = inspect.signature(getattr(qdiag, name))
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())
    assert (ROOT / "qdiag" / "py.typed").is_file()


def test_there_is_nothing_else() -> None:
    with pytest.raises(AttributeError, match="no attribute 'diagnose_all'"):
        _ = qdiag.diagnose_all  # type: ignore[attr-defined]


def test_no_file_outgrows_its_noun() -> None:
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "qdiag").rglob("*.py")}
    assert len(sizes) > 100
    long = {str(path.relative_to(ROOT)): lines for path, lines in sizes.items() if lines > LINES_AT_MOST}
    assert not long, "look for a second noun inside, and give it a file"


def test_no_folder_outgrows_a_page() -> None:
    folders = [path.parent for path in (ROOT / "qdiag").rglob("__init__.py")]
    assert len(folders) > 40
    full = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    crowded = {name: count for name, count in full.items() if count > FILES_AT_MOST}
    assert not crowded, "divide it by what its files own"


def test_dead_code_is_found(tmp_path: Path) -> None:
    """One function that nothing calls is named beside a whole package in which everything has a reader."""
    planted = tmp_path / "planted.py"
    planted.write_text("def nobody_calls_this() -> int:\n    return 3\n", encoding="utf-8")
    command = [sys.executable, "-m", "vulture", "--config", "pyproject.toml", "qdiag", str(planted)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode != 0
    assert [line.partition(": ")[2] for line in found.stdout.splitlines()] == [
        "unused function 'nobody_calls_this' (60% confidence)"
    ]


def test_all_tests_are_run_before_a_change_lands() -> None:
    """Those of `make test` and `make real` are all there are."""
    chosen = re.findall(r"\$\(PYTEST\) -m (\"[^\"]+\"|\w+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert chosen == ['"not real"', "real"]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "/^make test/" in script and re.findall(r"^make (\w+)", script, re.MULTILINE) == ["check", "real"]


def test_every_folder_is_described() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = sorted(str(path.parent.relative_to(ROOT)) for path in (ROOT / "qdiag").glob("*/**/__init__.py"))
    assert len(folders) > 40
    assert [folder for folder in folders if f"`{folder}`" not in text] == []
    named = {word for word in text.split("`") if word.startswith("qdiag/") and not {".", "*"} & set(word)}
    gone = [word for word in named if word == word.lower() and not (ROOT / word).is_dir()]
    assert gone == []


def declared() -> dict[str, str]:
    project: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def test_the_installed_version_is_the_declared_one() -> None:
    try:
        installed = version("qdiag")
    except PackageNotFoundError:
        pytest.skip("qdiag runs from a checkout that is not installed")
    assert installed == declared()["version"]


def test_the_changelog_knows_the_version() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    headings = [line.split()[1].strip("[]") for line in lines if line.startswith("## ")]
    assert headings[0] in ("Unreleased", declared()["version"])


def test_the_licence_is_the_declared_one() -> None:
    assert declared()["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
