"""Runs that are killed, interrupted and started again: no corrupt file, and the diagnosis of an undisturbed run."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from qdiag.cli.app import run
from qdiag.files.cache_folder import FolderCache
from qdiag.writers.json.diagnosis import read_diagnosis
from tests.e2e.measuring import make_inputs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")

KILLS = 20

NURSERY = """
import contextlib, json, os, sys
import matplotlib.pyplot, torch, qdiag.pipeline.diagnose, qdiag.writers.report_dir
from qdiag.cli.app import run
from qdiag.cli.process import prepare_process
from qdiag.writers.plots import pictures

pictures.LAYERS_DRAWN = 1
prepare_process()
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    assert run([*sys.argv[1:], "-q", "--no-cache"]) == 0
print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 99
        try:
            code = run(json.loads(line))
        finally:
            os._exit(code)
    print(pid, flush=True)
    sys.stdin.readline()  # until asked for, a process that has ended keeps its number: no other can be hit
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""Forks a process per command line, so that torch, and what it imports when it exports, is imported once.

Its arguments are a command line that is run before, for the sake of those imports.
"""


class Nursery:
    """Command lines, each in a process of its own that may be killed."""

    def __init__(self, cache: Path, first: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY, *first],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(cache),
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def _ask(self, line: str) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def start(self, line: list[str]) -> int:
        """The number of the process."""
        return self._ask(json.dumps(line))

    def exit_code(self) -> int:
        """Of the process that was started last, once it has ended."""
        return self._ask("")


def environment(cache: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QDIAG_")}
    root = str(Path(__file__).resolve().parents[2])
    return {**kept, "QDIAG_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": root}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A diagnosis that goes through all stages, of a network of three layers."""
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    words = ["diagnose", str(folder / "net.pt2"), "--data", str(folder / "data.npz")]
    return [*words, "--scheme", "tf-uint8", "--device", "cpu"]


@pytest.fixture
def nursery(tmp_path: Path, line: list[str]) -> Iterator[Nursery]:
    made = Nursery(tmp_path / "cache", ["sqnr", *line[1:]])
    with made.process:
        yield made
        assert made.process.stdin is not None
        made.process.stdin.close()


def wait(until: float, file: Path) -> float | None:
    """Waits, and says when the file was written anew, if it was."""
    before, seen = stamp(file), None
    while time.monotonic() < until:
        time.sleep(0.01)
        if seen is None and stamp(file) != before:
            seen = time.monotonic()
    return seen


def stamp(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


def check_outputs(folder: Path, since: float = 0.0) -> int:
    """Every file that has its name is whole; what a killed process was writing still has another."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    for path in files:
        if path.stat().st_mtime < since:
            continue
        if path.suffix == ".json":
            assert read_diagnosis(path).measurement.records
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".svg":
            ElementTree.parse(path)
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                assert len({len(row) for row in csv.reader(file)}) == 1
        elif path.suffix == ".html":
            assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
        else:
            assert path.suffix == ".md"
            assert path.read_text(encoding="utf-8").endswith("\n")
    return len(files)


def without_times(path: Path) -> bytes:
    return re.sub(rb'"elapsed_s": [^\n]*', b'"elapsed_s": -', path.read_bytes())


@pytest.mark.slow
def test_a_run_killed_twenty_times_gives_the_same_diagnosis(nursery: Nursery, line: list[str], tmp_path: Path) -> None:
    whole, out, cache = tmp_path / "whole.json", tmp_path / "out", tmp_path / "cache"
    started = time.monotonic()
    nursery.start([*line, "--no-cache", "-q", "--json", str(whole)])
    assert nursery.exit_code() == 0
    longest = time.monotonic() - started
    assert not cache.exists()
    draw, killed, looked_at = random.Random(20), 0, 0.0
    for _ in range(2 * KILLS):
        started = time.monotonic()
        pid = nursery.start([*line, "-q", "--plots", "png", "-o", str(out)])
        drawing = wait(started + draw.uniform(0.0, 1.2 * longest), out / "diagnosis.json")
        os.kill(pid, signal.SIGKILL)
        killed += nursery.exit_code() == -signal.SIGKILL
        longest = drawing - started if drawing else longest  # kept passes make the later runs shorter
        now = time.time()
        check_outputs(out, since=looked_at)
        looked_at = now - 2.0
        stored = FolderCache(cache)
        assert all(stored.get(path.stem) is not None for path in cache.glob("*.pass"))
        if killed == KILLS:
            break
    assert killed == KILLS
    (out / "diagnosis.json").unlink(missing_ok=True)
    nursery.start([*line, "-q", "--plots", "png", "-o", str(out)])
    assert nursery.exit_code() == 0
    assert check_outputs(out) > 10
    assert without_times(out / "diagnosis.json") == without_times(whole)
    assert FolderCache(cache).use().pass_count > 10


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_stops_a_run_is_told_how_to_go_on(
    line: list[str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    cache, target = tmp_path / "cache", tmp_path / "out.json"
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background may ignore it
        "from qdiag.cli.app import main\n"
        "main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *line, "--json", str(target)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(cache),
    )  # fmt: skip
    while not list(cache.glob("*.pass")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert out == ""
    assert re.search(r"run the same command again to go on: \d+ finished pass(es)? kept", err)
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert not list(cache.glob(".*.part"))


def test_the_cache_can_be_looked_at_and_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QDIAG_CACHE_DIR", str(tmp_path / "cache"))
    FolderCache(tmp_path / "cache").put("0" * 64, b"x" * 1000)
    (tmp_path / "cache" / "notes.txt").write_text("mine")
    assert run(["cache"]) == 0
    assert "1 finished passes, 0.0 MB of at most 1074 MB" in capsys.readouterr().out
    assert run(["cache", "clear"]) == 0
    assert "left there: 1 files that are not ours" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["notes.txt"]
    assert run(["cache", "burn"]) == 2


def test_the_cache_command_starts_without_torch(tmp_path: Path) -> None:
    code = "import sys\nfrom qdiag.cli.app import run\nrun(['cache', 'info'])\nsys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path / "none"), check=False)
    assert done.returncode == 0
    assert not (tmp_path / "none").exists()
