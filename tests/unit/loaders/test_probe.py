"""A reader that crashes, hangs or floods memory does so in a child process."""

import os
import signal
import time
import warnings
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from qdiag.errors import DataError, LoadError
from qdiag.loaders import probe as probes
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.probe import probe
from tests.unit.loaders import model_files as files


def test_a_crash_is_an_error() -> None:
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
        with pytest.raises(LoadError, match=f"reading it crashed torch \\({signal.Signals(number).name}\\)") as caught:
            probe(lambda number=number: os.kill(os.getpid(), number), byte_count=1, at="x.pt")  # type: ignore[misc]
        assert caught.value.at == "x.pt"


def test_a_hang_is_an_error_and_the_child_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SECONDS_MAX", 0.3)
    fork, children = os.fork, []

    def counted() -> int:
        children.append(fork())
        return children[-1]

    monkeypatch.setattr(os, "fork", counted)
    start = time.monotonic()
    with pytest.raises(DataError, match="did not end within 0 s"):
        probe(lambda: time.sleep(60), byte_count=1, at="x.pt", error=DataError)
    assert time.monotonic() - start < 20
    (child,) = children
    with pytest.raises(ChildProcessError):  # it is not there to be waited for, whatever other children the tests have
        os.waitpid(child, os.WNOHANG)


def test_a_flood_of_memory_is_an_error() -> None:
    with pytest.raises(LoadError, match="asks for more than 2048 MiB of memory"):
        probe(lambda: bytearray(8 << 30), byte_count=1, at="x.pt")
    with pytest.raises(LoadError, match="asks for more than 2048 MiB of memory"):
        probe(lambda: torch.zeros(2 << 30), byte_count=1, at="x.pt")


def test_errors_are_left_to_the_caller_and_nothing_is_heard(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        print("printed")
        os.write(1, b"written")
        os.write(2, b"written")
        raise ValueError("an ordinary error")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probe(fails, byte_count=1, at="x.pt")
    probe(lambda: os._exit(0), byte_count=1, at="x.pt")
    assert capfd.readouterr() == ("", "")


def test_the_child_may_use_torch_after_the_parent_used_its_threads() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        matrix = torch.randn(500, 500)
        assert (matrix @ matrix).isfinite().all()

        def computes() -> None:
            if not (matrix @ matrix + 1).isfinite().all():
                os.abort()

        probe(computes, byte_count=1, at="x.pt")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_asks_for_all_memory_is_refused(zipped: bool, tmp_path: Path) -> None:
    """`bytearray` is among the types that torch's restricted unpickler makes."""
    path = tmp_path / "x.pt"

    class Flood:
        def __reduce__(self) -> tuple[object, ...]:
            return bytearray, (20 << 30,)

    content = OrderedDict(state=torch.zeros(3), flood=Flood())
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(LoadError, match="asks for more than 2048 MiB of memory"):
        load_subject(path, arch=files.ARCH)
    with pytest.raises(DataError, match="asks for more than 2048 MiB of memory"):
        open_datasets(DataRequest(str(path)))
