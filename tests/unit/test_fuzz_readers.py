"""The fuzzer of the readers: it finds what it is made to find, and a short run of it finds nothing."""

import os
import random
import signal
import time
import zipfile
from pathlib import Path

import pytest

from qdiag.errors import LoadError, UntrustedError
from tools import fuzz_readers
from tools.fuzzing.mutations import mutated
from tools.fuzzing.readers import READERS, Reader


def read_planted(path: Path) -> None:
    """Every kind of fault, told by the first byte."""
    first = path.read_bytes()[:1]
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
    ("fault", "words"),
    [
        (b"c", "the process ended with -11"),
        (b"h", "no answer within 1 s"),
        (b"w", "a file was written: written"),
        (b"f", "KeyError at test_fuzz_readers.py"),
        (b"x", None),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks beside threads
def test_every_kind_of_fault_is_found(
    fault: bytes, words: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz_readers, "HANG_SECONDS", 1.0)
    monkeypatch.setattr(fuzz_readers, "mutated", lambda *_: fault + b"qdiag")
    monkeypatch.setitem(READERS, "planted", Reader(lambda: [b"x"], read_planted, "file"))
    report = fuzz_readers.fuzz("planted", 1.5, 0, tmp_path)
    assert report.runs > 0
    if words is None:
        assert not report.findings
        assert report.outcomes["refused"] == report.runs
        return
    assert any(words in finding for finding in report.findings), report.findings
    kept = next(iter(report.examples.values()))
    assert Path(kept).read_bytes() == fault + b"qdiag"


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", sorted(READERS))
def test_its_seeds_are_good_files(name: str, tmp_path: Path) -> None:
    """What is refused unchanged shows nothing of what comes after the refusal."""
    reader = READERS[name]
    for i, seed in enumerate(reader.seeds()):
        path = tmp_path / str(i) / reader.place
        path.parent.mkdir(parents=True)
        path.write_bytes(seed)
        try:
            reader.read(path)
        except UntrustedError:
            assert name == "checkpoint" and seed[:1] == b"\x80", "a pickle needs trust"


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_few_seconds_find_nothing(name: str) -> None:
    report = fuzz_readers.fuzz(name, 4.0, 1, None)
    assert report.runs > 5
    assert not report.findings
