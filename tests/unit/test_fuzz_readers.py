"""The fuzzer of the readers: it finds what it is made to find, and a short run of it finds nothing."""

import os
import random
import signal
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from qdiag.errors import LoadError
from tools import fuzz_readers
from tools.fuzzing.mutations import mutated
from tools.fuzzing.readers import READERS, Reader

pytestmark = pytest.mark.usefixtures("child_reads_first")


def read_planted(path: Path) -> None:
    """Every kind of fault, told by the first byte."""
    first = path.read_bytes()[:1]
    if first == b"g":
        return
    if first == b"c":
        os.kill(os.getpid(), signal.SIGSEGV)
    if first == b"h":
        time.sleep(60)
    if first == b"w":
        Path("written").write_text("by the file")
    if first == b"f":
        raise KeyError("foreign")
    raise LoadError("refused")


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (b"c", "crashes", "the process ended with -11"),
        (b"h", "hangs", "no answer within 0.5 s"),
        (b"w", "written files", "a file was written: written"),
        (b"f", "foreign exceptions", "KeyError at test_fuzz_readers.py"),
        (b"x", None, None),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks beside threads
def test_every_kind_of_fault_is_found(
    fault: bytes, kind: str | None, words: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz_readers, "HANG_SECONDS", 0.5 if kind == "hangs" else 60.0)
    monkeypatch.setattr(fuzz_readers, "mutated", lambda *_: fault + b"qdiag")
    monkeypatch.setitem(READERS, "planted", Reader(lambda: [b"good"], read_planted, "file"))
    report = fuzz_readers.fuzz("planted", 60.0, 0, tmp_path, cases=3)
    assert report.runs == 3, "the good file, and a broken one after another, in a process of its own after a crash"
    if kind is None or words is None:
        assert not report.findings
        assert report.outcomes == {"read": 1, "refused": report.runs - 1}
        assert " 0 foreign exceptions, 0 crashes, 0 hangs, 0 written files, 0 good files refused" in str(report)
        return
    assert any(words in finding for finding in report.findings), report.findings
    assert report.kinds == {kind: 2}
    assert sum(report.findings.values()) == 2
    assert f" {report.kinds[kind]} {kind}," in str(report)
    kept = next(iter(report.examples.values()))
    assert Path(kept).read_bytes() == fault + b"qdiag"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_good_file_that_is_refused_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_readers, "mutated", lambda *_: b"x")  # what begins with another letter may hang
    monkeypatch.setitem(READERS, "planted", Reader(lambda: [b"x"], read_planted, "file"))
    report = fuzz_readers.fuzz("planted", 0.1, 0, None)
    assert report.findings == {"a good file is refused": 1}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_that_a_hanging_reader_started_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> None:
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        (tmp_path / "child").write_text(str(child))
        time.sleep(60)

    monkeypatch.setattr(fuzz_readers, "HANG_SECONDS", 0.5)
    monkeypatch.setitem(READERS, "planted", Reader(lambda: [b"x"], read, "file"))
    assert fuzz_readers.fuzz("planted", 0.1, 0, None).kinds == {"hangs": 1}
    state = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    for _ in range(500):
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX":
            break
        time.sleep(0.01)
    else:
        pytest.fail("it still runs")


def test_a_reader_without_its_libraries_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS, "planted", Reader(lambda: [b"x"], read_planted, "file", needs=("no_such_library",)))
    report = fuzz_readers.fuzz("planted", 60.0, 0, None)
    assert report.runs == 0
    assert str(report) == "SUMMARY planted: skipped, not installed: no_such_library"


def test_mutations_differ_and_many_archives_stay_sound(tmp_path: Path) -> None:
    rng = random.Random(0)
    seed = READERS["npz"].seeds()
    made = [mutated(seed, rng, is_text=False) for _ in range(200)]
    assert len(set(made)) > 150
    sound = 0
    for data in made:
        (tmp_path / "x.zip").write_bytes(data)
        sound += zipfile.is_zipfile(tmp_path / "x.zip")
    assert sound > 60


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", sorted(READERS))
def test_good_files_are_read_and_a_short_run_finds_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused unchanged shows nothing of what comes after the refusal, and would be a finding."""
    seeds = READERS[name].seeds()
    monkeypatch.setitem(READERS, name, replace(READERS[name], seeds=lambda: seeds))
    report = fuzz_readers.fuzz(name, 0.5, 1, None, cases=len(seeds) + 40)
    assert report.runs >= len(seeds), "every good file was read, however busy the machine is"
    assert not report.findings
