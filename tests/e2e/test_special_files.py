"""A FIFO or a device where a file is expected: exit code 2 and the reason at once, where reading it would never end."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qdiag.cli.app import run
from qdiag.errors import LoadError
from qdiag.writers.json.baseline import read_baseline

pytestmark = pytest.mark.usefixtures("child_reads_first")
SECONDS = 60


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError(f"not done within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


MODEL = "zoo:mobilenet_v1?width=0.25"
PLACES: dict[str, tuple[str, list[str]]] = {
    "model": ("x.pt", ["sqnr", "x.pt", "--input-shape", "1,3,32,32"]),
    "model of bn": ("x.pt", ["bn", "x.pt"]),
    "data": ("x.npz", ["sqnr", MODEL, "--data", "x.npz"]),
    "labels.csv": ("images/labels.csv", ["sqnr", MODEL, "--data", "images"]),
    "scheme": ("x.toml", ["sqnr", MODEL, "--input-shape", "1,3,32,32", "--scheme", "x.toml"]),
    "result": ("x.json", ["report", "x.json", "-o", "out"]),
    "result to compare": ("x.json", ["compare", "x.json", "x.json"]),
    "result at the gate": ("x.json", ["gate", "x.json", "--max-drop", "1"]),
    "config": ("x.toml", ["gate", "y.json", "--config", "x.toml"]),
    "architecture": ("x.py", ["sqnr", "./x.py:net", "--input-shape", "1,3,32,32"]),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("make", [fifo, zeros])
def test_a_special_file_is_refused_in_every_place(
    make: Callable[[Path], None],
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    name, words = PLACES[place]
    make(tmp_path / name)
    assert run(words) == 2
    error = capsys.readouterr().err
    assert "qdiag itself failed" not in error
    assert name.rpartition("/")[2] in error or place == "labels.csv"


@pytest.mark.parametrize("make", [fifo, zeros])
def test_an_image_that_is_no_file_is_named(
    make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "a.png")
    make(tmp_path / "b.png")
    (tmp_path / "labels.csv").write_text("file\na.png\nb.png\n")
    assert run(["sqnr", MODEL, "--data", str(tmp_path), "--quiet"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "only regular files are read" in error
    assert "b.png" in error


@pytest.mark.parametrize("name", ["CACHEDIR.TAG", f"{'0' * 64}.pass"])
def test_special_files_in_the_cache_stop_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / name)
    monkeypatch.setenv("QDIAG_CACHE_DIR", str(tmp_path))
    assert run(["cache"]) == 0
    assert run(["cache", "clear"]) == 0
    assert run(["sqnr", MODEL, "--input-shape", "1,3,32,32", "--quiet", "--samples", "2"]) == 0


@pytest.mark.parametrize("make", [fifo, zeros])
def test_a_baseline_that_is_no_file_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "baseline.json")
    with pytest.raises(LoadError, match="only regular files are read"):
        read_baseline(tmp_path / "baseline.json")


@pytest.mark.parametrize(
    "command",
    [
        ["sqnr", "{}", "--input-shape", "1,3,8,8"],
        ["sqnr", "zoo:resnet18", "--data", "{}"],
        ["gate", "{}"],
        ["gate", "x.json", "--config", "{}"],
        ["compare", "{}", "{}"],
    ],
)
def test_a_path_that_the_system_refuses_is_no_fault_of_ours(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([word.format("a" * 5000) for word in command]) == 2
    said = capsys.readouterr().err
    assert "qdiag itself failed" not in said
    assert len(said) < 600
