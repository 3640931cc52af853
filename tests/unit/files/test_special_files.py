"""Links, pipes, sockets and devices stay what they are when something is written to them."""

import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qdiag.errors import WriteError
from qdiag.files import atomic
from qdiag.files.atomic import append_file, check_writable, whole_file, write_file
from qdiag.files.target import output_name

NULL = os.makedev(1, 3)
FULL = os.makedev(1, 7)


def device(folder: Path, number: int) -> Path:
    """A node of our own: the machine's must not be at risk."""
    node = folder / "device"
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, number)
        node.open("wb").close()
    except OSError:
        pytest.skip("no device can be made here")
    return node


class Reader(threading.Thread):
    """Reads a pipe to its end."""

    def __init__(self, pipe: Path) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self.found = b""
        self.start()

    def run(self) -> None:
        self.found = self._pipe.read_bytes()

    def end(self) -> bytes:
        self.join(10)
        return self.found


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = "x" * 300_000  # more than a pipe holds
    reader = Reader(pipe)
    write_file(pipe, content)
    assert reader.end() == content.encode()
    assert pipe.is_fifo()
    reader = Reader(pipe)
    with whole_file(pipe) as part:
        part.write_bytes(b"whole")
    assert reader.end() == b"whole"
    reader = Reader(pipe)
    append_file(pipe, "more")
    assert reader.end() == b"more"
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_pipe_that_nobody_reads_is_an_error_and_no_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(atomic, "_READER_WAIT_S", 0.1)
    with pytest.raises(WriteError, match="nobody reads from this pipe"):
        write_file(pipe, "x")
    assert pipe.is_fifo()


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    node = device(tmp_path, NULL)
    write_file(node, "gone")
    with whole_file(node) as part:
        part.write_bytes(b"gone")
    assert node.is_char_device()
    assert node.stat().st_rdev == NULL
    assert [path.name for path in tmp_path.iterdir()] == ["device"]


def test_a_device_that_is_full_says_so(tmp_path: Path) -> None:
    node = device(tmp_path, FULL)
    with pytest.raises(WriteError, match="the disk is full"):
        write_file(node, "x")
    assert node.is_char_device()


def test_a_link_to_a_device_stays_a_link(tmp_path: Path) -> None:
    node = device(tmp_path, NULL)
    link = tmp_path / "out.json"
    link.symlink_to(node)
    write_file(link, "gone")
    assert link.is_symlink()
    assert node.is_char_device()


def test_a_socket_is_refused_before_the_run_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for attempt in (check_writable, lambda path: write_file(path, "x")):
            with pytest.raises(WriteError, match="is a socket"):
                attempt(tmp_path / "socket")
        assert (tmp_path / "socket").is_socket()


def test_a_link_stays_and_what_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.json").write_text("old")
    (tmp_path / "step").symlink_to("there/real.json")
    link = tmp_path / "out.json"
    link.symlink_to("step")
    write_file(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "step").is_symlink()
    assert (tmp_path / "there" / "real.json").read_text() == "new"
    assert not list(tmp_path.rglob("*.part"))


def test_a_link_to_nothing_yet_makes_the_file_that_it_names(tmp_path: Path) -> None:
    link = tmp_path / "out.json"
    link.symlink_to("new.json")
    write_file(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "new.json").read_text() == "new"


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(WriteError, match="symbolic links"):
        write_file(tmp_path / "a", "x")


def test_a_file_that_somebody_holds_open_keeps_its_inode(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("w") as held:
        held.write("before ")
        held.flush()
        write_file(f"/dev/fd/{held.fileno()}", "ours")
        assert os.fstat(held.fileno()).st_ino == file.stat().st_ino
    assert file.read_text() == "before ours"


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_other_names_of_standard_output_are_a_dash(name: str, tmp_path: Path) -> None:
    assert output_name(name) == "-"
    assert output_name("out.json") == "out.json"
    code = f"from qdiag.files.atomic import write_file; print('first', flush=True); write_file({name!r}, 'second')"
    out = tmp_path / "out.txt"
    with out.open("w") as stream:
        subprocess.run([sys.executable, "-c", code], stdout=stream, check=True)
    assert out.read_text() == "first\nsecond"  # the file that the shell opened, not another one in its place


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "secret.json"
    file.write_text("old")
    file.chmod(0o600)
    write_file(file, "new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_long_name_is_written(tmp_path: Path) -> None:
    file = tmp_path / ("n" * 250)
    write_file(file, "x")
    assert file.read_text() == "x"
