"""Every code has a detector, a page that names its figures and thresholds, and a row in the docs."""

import re
from pathlib import Path

import pytest

from qdiag.core.causes.codes import CODES, Code
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.detectors import DETECTORS, Detector

ROOT = Path(__file__).resolve().parents[3]
SECTIONS = ("What it means:", "How it is computed:", "Thresholds:", "What helps:", "Sources:")
BY_CODE: dict[str, Detector] = {detector.CODE: detector for detector in DETECTORS}


def source(code: Code) -> str:
    (path,) = (ROOT / "qdiag" / "detectors").rglob(f"{code.slug}.py")
    return path.read_text(encoding="utf-8")


def test_one_detector_per_code_in_the_same_order() -> None:
    assert [detector.CODE for detector in DETECTORS] == [code.code for code in CODES]


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.code)
def test_the_page_has_all_sections(code: Code) -> None:
    page = BY_CODE[code.code].__doc__ or ""
    assert [line for line in page.splitlines() if line in SECTIONS] == list(SECTIONS)
    first = page.splitlines()[0]
    assert first.endswith((".", "itself."))


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.code)
def test_the_page_names_every_figure_with_a_threshold(code: Code) -> None:
    page = BY_CODE[code.code].__doc__ or ""
    figures = re.findall(r'Evidence\(\s*"(\w+)",[^\n]*,[^\n]*,[^\n]*\)', source(code))
    unnamed = [name for name in figures if name not in page and name.replace("_sqnr", " SQNR") not in page]
    assert unnamed == []


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.code)
def test_a_detector_is_of_readable_size_and_stands_alone(code: Code) -> None:
    text = source(code)
    assert 30 <= len(text.splitlines()) <= 120
    others = re.findall(r"from qdiag\.detectors\.(\w+)", text)
    assert others == ["base"]


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.code)
def test_repairs_exist_each_once(code: Code) -> None:
    repairs = BY_CODE[code.code].REPAIRS
    assert [TRAITS[name].name for name in repairs] == list(dict.fromkeys(repairs))


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.code)
def test_the_docs_have_a_row(code: Code) -> None:
    text = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| {code.code} \| {code.slug} \| .* \| (.*) \|$", text, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(BY_CODE[code.code].REPAIRS)


def test_the_docs_have_a_row_for_every_repair() -> None:
    table = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8").split("\n## Repairs\n")[1]
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (\w+) \|$", table, re.MULTILINE))
    assert rows == {name: "kept" if traits.keeps_scheme else "changed" for name, traits in TRAITS.items()}
