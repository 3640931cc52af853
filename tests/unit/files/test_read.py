"""Files that users name: regular ones alone, up to a size, and without waiting for anybody."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from qdiag.files.read import check_regular, open_regular, read_bytes, read_text


def fifo(path: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def server(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (fifo, "it is a FIFO, and only regular files are read"),
        (zeros, "it is a device, and only regular files are read"),
        (server, None),  # the system itself refuses to open one
        (folder, "Is a directory"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(
    make: Callable[[Path], None], fact: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "special"
    make(path)
    for read in (check_regular, lambda path: read_bytes(path, 10), lambda path: read_text(path, 10)):
        with pytest.raises(OSError) as caught:
            read(path)
        assert fact is None or caught.value.strerror == fact


def test_a_missing_file_is_the_usual_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_regular(tmp_path / "missing"):
        pass


def test_a_file_of_the_limit_is_read_and_a_larger_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_bytes(path, 100) == b"x" * 100
    with pytest.raises(OSError) as caught:
        read_bytes(path, 99)
    assert caught.value.strerror == "it is larger than 99 bytes, the most that is read of such a file"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # one of a tebibyte, which takes no room
    with pytest.raises(OSError, match="larger than 1 MiB"):
        read_bytes(path, 1 << 20)


def test_lines_end_alike_whoever_wrote_them(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("ä\r\nb\rc\n".encode())
    assert read_text(tmp_path / "file", 100) == "ä\nb\nc\n"


def test_a_link_to_a_regular_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", 10) == b"abc"
