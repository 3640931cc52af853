"""Standard output that is closed, full, unread or in another encoding: no file is lost, the error is clear.

Of each kind, some command lines start the program as a user does; the others are forked, which takes a tenth of it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import diagnosis, healthy_diagnosis
from tests.forks.forking import Forks

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full and a shell")


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {name: diagnosis_to_json(made) for name, made in (("bad", diagnosis()), ("good", healthy_diagnosis()))}


@pytest.fixture
def folder(texts: dict[str, str], tmp_path: Path) -> Path:
    for name, text in texts.items():
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    return tmp_path


STARTED = f"{sys.executable} -m qdiag"


def shell(line: str, folder: Path, program: str = STARTED, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("QDIAG_", "GITHUB_", "PYTHONIO", "LC_"))}
    environment |= {"QDIAG": program, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    return subprocess.run(["bash", "-c", line], cwd=folder, env=environment, capture_output=True, check=False)


WAYS = {
    ">&-": "closed",
    "> /dev/full": "the disk is full",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("compare bad.json good.json --json out.json", "out.json"),
        ("gate good.json --max-drop 50 --json out.json", "out.json"),
        ("gate good.json --max-drop 50 --json - --junit out.xml", "out.xml"),
        ("compare bad.json good.json --json - --markdown out.md", "out.md"),
        ("report good.json -o out --format md", "out/report.md"),
    ],
)
def test_the_files_are_there_and_the_error_is_clear(
    line: str, written: str, way: str, folder: Path, forks: Forks
) -> None:
    done = shell(f"$QDIAG {line} {way}", folder, STARTED if line.startswith("report") else forks.program)
    assert (folder / written).stat().st_size > 100
    assert done.returncode == 2, done.stderr
    error = done.stderr.decode()
    assert "not everything could be printed" in error
    assert WAYS[way] in error
    assert "where: standard output" in error
    assert "Traceback" not in error
    assert "Exception ignored" not in error


@pytest.mark.parametrize("line", ["compare bad.json good.json --json out.json", "schemes"])
def test_a_reader_that_leaves_early_costs_nothing(line: str, folder: Path, forks: Forks) -> None:
    done = shell(f"$QDIAG {line} | true; exit ${{PIPESTATUS[0]}}", folder, forks.program)
    assert (done.returncode, done.stderr) == (0, b"")
    assert line == "schemes" or (folder / "out.json").stat().st_size > 100


def test_a_failed_gate_stays_failed(folder: Path, forks: Forks) -> None:
    done = shell("$QDIAG gate bad.json --max-drop 1 --json out.json > /dev/full", folder, forks.program)
    assert done.returncode == 1
    assert json.loads((folder / "out.json").read_text())["exit_code"] == 1


def test_no_file_becomes_standard_output(folder: Path) -> None:
    done = shell("$QDIAG compare bad.json good.json --json out.json >&- 2>&- <&-", folder)
    assert done.returncode == 2
    assert json.loads((folder / "out.json").read_text())


def test_a_closed_standard_error_costs_nothing(folder: Path) -> None:
    done = shell("$QDIAG compare bad.json good.json 2>&-", folder)
    assert done.returncode == 0
    assert b"bad.json" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r"])
@pytest.mark.parametrize(
    "line",
    [
        "gate good.json --max-drop 50",
        "compare bad.json good.json",
        "explain QD301",
        "schemes",
        "--help",
        "gate missing-→.json",
    ],
)
def test_other_encodings(line: str, encoding: str, folder: Path, forks: Forks) -> None:
    program = STARTED if line == "schemes" and encoding in ("ascii", "koi8-r") else forks.program
    done = shell(f"$QDIAG {line}", folder, program, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == (2 if "missing" in line else 0), done.stderr
    text = (done.stdout + done.stderr).decode(encoding)
    assert text.strip()
    assert "itself failed" not in text
    if encoding == "ascii":
        assert "\\u2192" not in text or "missing" in line  # an arrow has a form in ASCII


def test_json_is_utf_8_in_any_encoding(folder: Path) -> None:
    text = (folder / "good.json").read_text(encoding="utf-8").replace("photos/", "фото/")
    (folder / "good.json").write_text(text, encoding="utf-8")
    done = shell("$QDIAG gate good.json --max-drop 50 --json -", folder, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "фото/" in json.loads(done.stdout.decode("utf-8"))["data"]["source"]
