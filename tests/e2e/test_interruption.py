"""Runs that are killed, interrupted and started again: no corrupt file, and the diagnosis of an undisturbed run."""

import csv
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
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
from tests.forks.forking import Forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")

KILLS = 20

IMPORTS = """
import contextlib, os, sys
import matplotlib.pyplot, torch, qdiag.pipeline.diagnose, qdiag.writers.report_dir
from qdiag.cli.app import run
from qdiag.cli.process import prepare_process
from qdiag.writers.plots import pictures

every = pictures.report_pictures
pictures.report_pictures = lambda diagnosis: every(diagnosis)[:3]
prepare_process()
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    assert run([*{line!r}, "-q", "--no-cache"]) == 0
"""
"""A command line is run before the first fork, for the sake of what it imports when it exports the network."""


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


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, line: list[str]) -> Iterator[Forks]:
    """Processes that have imported torch already."""
    made = Forks(IMPORTS.format(line=["sqnr", *line[1:]]), environment(tmp_path_factory.mktemp("unused")))
    yield made
    made.close()


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


def test_a_run_killed_twenty_times_gives_the_same_diagnosis(runs: Forks, line: list[str], tmp_path: Path) -> None:
    whole, out, cache = tmp_path / "whole.json", tmp_path / "out", tmp_path / "cache"
    variables = environment(cache)
    started = time.monotonic()
    assert runs.run([*line, "--no-cache", "-q", "--json", whole], tmp_path, variables=variables).returncode == 0
    longest = time.monotonic() - started
    assert not cache.exists()
    draw, killed, looked_at = random.Random(20), 0, 0.0
    for _ in range(2 * KILLS):
        started = time.monotonic()
        with Path(os.devnull).open("r+") as nowhere:
            streams = [nowhere.fileno()] * 2 + [2]
            made = runs.start([*line, "-q", "--plots", "png", "-o", out], tmp_path, streams, variables=variables)
        drawing = wait(started + draw.uniform(0.0, 1.2 * longest), out / "diagnosis.json")
        os.kill(made.number, signal.SIGKILL)
        killed += made.exit_code() == -signal.SIGKILL
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
    assert runs.run([*line, "-q", "--plots", "png", "-o", out], tmp_path, variables=variables).returncode == 0
    assert check_outputs(out) > 6
    assert without_times(out / "diagnosis.json") == without_times(whole)
    assert FolderCache(cache).use().pass_count > 10


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_stops_a_run_is_told_how_to_go_on(
    runs: Forks, line: list[str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    cache, target = tmp_path / "cache", tmp_path / "out.json"
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background may ignore it
        "from qdiag.cli.app import main\n"
        "main()"
    )
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said, Path(os.devnull).open() as nothing:
        streams = nothing.fileno(), printed.fileno(), said.fileno()
        words = [*line, "--json", target]
        process = runs.start(words, tmp_path, streams, code=program, variables=environment(cache))
        until = time.monotonic() + 120.0
        while not list(cache.glob("*.pass")) and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.number, number)
        returned = process.exit_code()
        printed.seek(0)
        said.seek(0)
        out, err = printed.read().decode(), said.read().decode()
    assert returned == code, err
    assert out == ""
    assert re.search(r"Run the same command again to go on: \d+ finished pass(es)? (is|are) kept", err)
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
    assert "1 finished pass, 0.0 MB of at most 1024 MB" in capsys.readouterr().out
    assert run(["cache", "clear"]) == 0
    assert "1 file that qdiag did not write is left there" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["notes.txt"]
    assert run(["cache", "burn"]) == 2


def test_the_cache_command_starts_without_torch(tmp_path: Path) -> None:
    code = "import sys\nfrom qdiag.cli.app import run\nrun(['cache', 'info'])\nsys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path / "none"), check=False)
    assert done.returncode == 0
    assert not (tmp_path / "none").exists()
