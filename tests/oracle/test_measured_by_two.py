"""Two processes that divide the samples find what one process finds.

What holds: batches stay whole, so every value of every network is the same, and so are counts, histograms, ends of
ranges and figures of single samples. Sums are added in another order.
"""

import contextlib
import csv
import io
import json
import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from qdiag.cli.app import run
from qdiag.distributed.processes import Processes
from tests.oracle.conftest import write_inputs

NETWORK = ["net.pth", "--arch", "./net.py:make"]
WISHES = ["--device", "cpu", "--batch-size", "16", "-q", "--scheme", "tf-uint8"]
WORDS = [*NETWORK, "--data", "few.npz", *WISHES, "--set", "weights.bits=3"]
COMMANDS: dict[str, list[str]] = {
    "diagnose": ["diagnose", *WORDS, "--json", "diagnosis.json"],
    "rank": ["rank", *WORDS, "--json", "rank.json"],
    "sensitivity": ["sensitivity", *WORDS, "--json", "sensitivity.json"],
    "sqnr": ["sqnr", *WORDS, "--losses", "--metric", "./net.py:score", "--json", "sqnr.json", "--csv", "sqnr.csv"],
    "ranges": ["ranges", *WORDS, "--set", "activations.calibrator=moving_average", "--json", "r.json"],
    "one sample": ["sqnr", *WORDS, "--samples", "1", "--calib-samples", "1", "--json", "one.json"],
}
REFUSED = {
    "check": ["check", *NETWORK],
    "train": ["diagnose", *WORDS, "--train", "1"],
    "meter": ["sqnr", *WORDS, "--metric", "./net.py:Meter"],
    "label": ["sqnr", *NETWORK, "--data", "wrong.npz", *WISHES],
    "folder": ["sqnr", *WORDS, "--json", "missing/result.json"],
}
"""Beside `another seed`, where the processes are not asked the same."""


def printed(words: list[str]) -> tuple[int, str, str]:
    """Exit code, and what was printed to both streams."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(words)
    return code, out.getvalue(), err.getvalue()


def measure_and_end() -> None:
    """What one of the processes does: all commands, then the second process is killed within a pass."""
    rank, exchanged = int(os.environ["RANK"]), Processes._exchanged
    found = {name: printed(words) for name, words in {**COMMANDS, **REFUSED}.items()}
    found["another seed"] = printed([*COMMANDS["one sample"], "--seed", str(rank)])

    def killed(self: Processes, own: Any) -> Any:
        if rank == 1 and own.about == "simulate":
            os.kill(os.getpid(), signal.SIGKILL)
        return exchanged(self, own)

    Path(f"measured{rank}.json").write_text(json.dumps(found))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun may notice the end of the other one first
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal, "signal", lambda *_: None)  # a command would handle it again
        patch.setattr(Processes, "_exchanged", killed)
        Path("ended").write_text(json.dumps(printed([*COMMANDS["one sample"], "--no-cache"])))
    os._exit(2)


@pytest.fixture(scope="module")
def two(launched: Path) -> list[dict[str, list[Any]]]:
    """What each of two processes printed."""
    return [json.loads((launched / f"measured{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[int, str, str]]]:
    """A folder with what one process wrote, and what it printed."""
    folder = tmp_path_factory.mktemp("one")
    write_inputs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("QDIAG_CACHE_DIR", str(folder / "cache"))
        return folder, {name: printed(words) for name, words in {**COMMANDS, "label": REFUSED["label"]}.items()}


def differences(own: Any, other: Any, at: str = "") -> list[str]:
    """Where two results differ, times apart: floats by more than their last few bits, all else at all."""
    if isinstance(own, dict) and isinstance(other, dict) and own.keys() == other.keys():
        names = [name for name in own if name not in ("elapsed_s", "stages")]
        return [found for name in names for found in differences(own[name], other[name], f"{at}.{name}")]
    if isinstance(own, list) and isinstance(other, list) and len(own) == len(other):
        return [found for i, x in enumerate(own) for found in differences(x, other[i], f"{at}[{i}]")]
    if isinstance(own, float) and isinstance(other, float):
        return [] if own == pytest.approx(other, rel=1e-12, abs=1e-12, nan_ok=True) else [f"{at}: {own!r} {other!r}"]
    return [] if own == other and type(own) is type(other) else [f"{at}: {own!r} {other!r}"]


def content(path: Path) -> Any:
    """Of a JSON file, or the cells of a CSV file as numbers where they are some."""
    text = path.read_text()
    if path.suffix == ".json":
        return json.loads(text)

    def cell(value: str) -> Any:
        try:
            return float(value)
        except ValueError:
            return value

    return [[cell(value) for value in row] for row in csv.reader(text.splitlines())]


@pytest.mark.parametrize("name", COMMANDS)
def test_two_processes_find_what_one_finds(
    name: str, launched: Path, two: list[dict[str, list[Any]]], one: tuple[Path, dict[str, tuple[int, str, str]]]
) -> None:
    """Every number of a result, and every word; the second process says and writes nothing."""
    folder, expected = one
    assert expected[name][0] == 0 and list(expected[name]) == two[0][name]
    assert two[1][name] == [0, "", ""]
    files = [word for before, word in pairwise(COMMANDS[name]) if before in ("--json", "--csv")]
    for file in files:
        assert differences(content(folder / file), content(launched / file)) == []


def test_the_first_process_keeps_finished_passes_for_all(launched: Path, one: tuple[Path, Any]) -> None:
    """Ranking and sweep were read from what the diagnosis left: as many passes are kept as by one process."""
    kept = [len([*(folder / "cache").rglob("*.*")]) for folder in (launched, one[0])]
    assert kept[0] >= kept[1] > 10


def test_an_error_of_one_process_ends_all_and_is_said_once(
    two: list[dict[str, list[Any]]], one: tuple[Path, dict[str, tuple[int, str, str]]]
) -> None:
    assert all(process[name][:2] == [2, ""] for process in two for name in (*REFUSED, "another seed"))
    said = {name: (two[0][name][2], two[1][name][2]) for name in (*REFUSED, "another seed")}
    assert said["check"] == (
        "error: qdiag check runs in one process\n"
        "  hint:  start it without torchrun, which is for diagnose, qat, ranges, rank, sensitivity, sqnr\n",
        "",
    )
    assert "error: --train trains in one process" in said["train"][0] and not said["train"][1]
    assert "error: a metric that is an object sees all samples" in said["meter"][0] and not said["meter"][1]
    assert said["label"] == ("", one[1]["label"][2] + "  process: 1\n") and "images[50]" in said["label"][1]
    assert "error: the folder does not exist" in said["folder"][0] and not said["folder"][1]
    message = "error: network, data or settings of process 1 differ from those of the first process\n"
    assert said["another seed"][0].startswith(message) and not said["another seed"][1]


def test_a_killed_process_ends_the_others_with_one_error(launched: Path) -> None:
    code, out, err = json.loads((launched / "ended").read_text())
    assert (code, out) == (2, "")
    assert err.startswith("error: another process ended, and without its part there is no result\n")
    assert err.count("error:") == 1
