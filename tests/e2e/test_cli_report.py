"""`qdiag report` as people run it: a stored diagnosis, no model, no torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from qdiag.cli.app import run
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import diagnosis, repaired_diagnosis


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "diagnosis.json"
    path.parent.mkdir()
    path.write_text(diagnosis_to_json(diagnosis()), encoding="utf-8")
    return path


def test_text_and_tables_from_a_file_and_from_its_folder(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, source in enumerate((stored, stored.parent)):
        out = tmp_path / f"out{number}"
        assert run(["report", str(source), "-o", str(out), "--format", "md", "--format", "csv", "-q"]) == 0
        assert sorted(path.name for path in out.iterdir()) == ["layers.csv", "report.md"]
        printed = capsys.readouterr().out
        assert printed.startswith("Quantization costs 67.4 pp of top-1")
        assert str(out / "report.md") in printed


def test_a_report_may_be_drawn_into_the_folder_of_its_diagnosis(stored: Path) -> None:
    before = stored.read_bytes()
    assert run(["report", str(stored), "-o", str(stored.parent), "--format", "json", "--format", "html", "-q"]) == 0
    assert stored.read_bytes() == before
    assert (stored.parent / "report.html").is_file()


def test_before_and_after_are_in_one_page(stored: Path, tmp_path: Path) -> None:
    after = tmp_path / "after.json"
    after.write_text(diagnosis_to_json(repaired_diagnosis()), encoding="utf-8")
    out = tmp_path / "both"
    assert run(["report", str(after), "--before", str(stored), "-o", str(out), "--format", "html", "-q"]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert (
        0
        < page.find(diagnosis().measurement.model.digest[:8])
        < page.find(repaired_diagnosis().measurement.model.digest[:8])
    )


def test_what_is_no_diagnosis_and_where_no_folder_can_be_is_refused(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", str(tmp_path / "none.json"), "-o", str(tmp_path / "x")]) == 2
    assert "none.json" in capsys.readouterr().err.replace("\n", "")
    assert run(["report", str(stored), "-o", str(stored)]) == 2
    assert "is a file, not a folder" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_whole_report_is_drawn_without_torch(stored: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from qdiag.cli.app import run\n"
        f"line = ['report', {str(stored)!r}, '-o', {str(tmp_path / 'whole')!r}, '-q']\n"
        "assert run(line) == 0 and 'matplotlib' not in sys.modules\n"  # pictures are files where they are asked for
        "from qdiag.writers.plots import pictures\n"
        "pictures.LAYERS_DRAWN = 1\n"
        "formats = ['md', 'html', 'csv', 'png']\n"
        "code = run([*line, *(word for name in formats for word in ('--format', name))])\n"
        "every = pictures.report_pictures\n"
        "pictures.report_pictures = lambda found: every(found)[:1]\n"  # what is drawn is the same in both formats
        "code = code or run([*line, '--format', 'svg'])\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    drawn = {path.suffix for path in (tmp_path / "whole" / "plots").iterdir()}
    assert (tmp_path / "whole" / "plots" / "sqnr.png").is_file()
    assert drawn == {".png", ".svg"}
