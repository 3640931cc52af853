"""`qdiag view` opens a report that was written, and says what to do where there is none."""

import webbrowser
from pathlib import Path

import pytest

from qdiag.cli.app import run
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import diagnosis

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run 1"
    made.mkdir()
    (made / "diagnosis.json").write_text(diagnosis_to_json(diagnosis()), encoding="utf-8")
    (made / "report.html").write_text("<p>report</p>", encoding="utf-8")
    return made


@pytest.mark.parametrize("name", ["", "report.html", "diagnosis.json"])
def test_a_folder_or_a_file_of_it_opens_its_report(name: str, folder: Path, opened: list[str], capsys: Capture) -> None:
    assert run(["view", str(folder / name)]) == 0
    assert opened == [(folder / "report.html").as_uri()]
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"


def test_without_a_browser_the_path_is_printed(folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert run(["view", str(folder)]) == 2
    printed = capsys.readouterr()
    assert printed.out == f"{folder / 'report.html'}\n"
    assert "no browser was found" in printed.err


def test_a_report_that_is_not_drawn_yet_is_asked_for(folder: Path, opened: list[str], capsys: Capture) -> None:
    (folder / "report.html").unlink()
    assert run(["view", str(folder)]) == 2
    assert f"qdiag report '{folder}' -o '{folder}' --format html" in capsys.readouterr().err
    (folder / "diagnosis.json").unlink()
    assert run(["view", str(folder)]) == 2
    assert "neither report.html nor diagnosis.json" in capsys.readouterr().err
    assert run(["view", str(folder / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert opened == []
