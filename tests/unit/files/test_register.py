"""What was read in a run is not written over, whatever name it has."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qdiag.errors import ConfigError, WriteError
from qdiag.files.atomic import append_file, remove_file, whole_file, write_file
from qdiag.files.register import FileRegister, declare_outputs, note_read, registering


@pytest.fixture(autouse=True)
def _register() -> Iterator[FileRegister]:
    with registering() as register:
        yield register


def whole(path: Path) -> None:
    with whole_file(path) as part:
        part.write_text("new")


WRITERS: dict[str, Callable[[Path], None]] = {
    "write_file": lambda path: write_file(path, "new"),
    "whole_file": whole,
    "append_file": lambda path: append_file(path, "new"),
    "remove_file": remove_file,
}


def same_name(file: Path) -> Path:
    return file


def hard_link(file: Path) -> Path:
    link = file.with_name("hard")
    link.hardlink_to(file)
    return link


def symbolic_link(file: Path) -> Path:
    link = file.with_name("soft")
    link.symlink_to(file.name)
    return link


def through_a_linked_folder(file: Path) -> Path:
    folder = file.parent / "again"
    folder.symlink_to(file.parent)
    return folder / file.name


NAMES = (same_name, hard_link, symbolic_link, through_a_linked_folder)


@pytest.mark.parametrize("other_name", NAMES)
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_nothing_that_writes_touches_what_was_read(
    tmp_path: Path, writer: Callable[[Path], None], other_name: Callable[[Path], Path]
) -> None:
    file = tmp_path / "input"
    file.write_text("old")
    target = other_name(file)
    assert file.read_text() == "old"  # it is heard
    with pytest.raises(WriteError, match=r"is read$"):
        writer(target)
    assert file.read_text() == "old"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("read", [Path.read_bytes, lambda path: os.close(os.open(path, os.O_RDONLY))])
def test_every_way_of_python_to_open_is_heard(tmp_path: Path, read: Callable[[Path], object]) -> None:
    file = tmp_path / "input"
    file.write_text("old")
    read(file)
    with pytest.raises(WriteError):
        write_file(file, "new")


def test_a_file_named_from_the_working_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "input").write_text("old")
    monkeypatch.chdir(tmp_path)
    Path("input").read_text()
    monkeypatch.chdir("/")
    with pytest.raises(WriteError):
        write_file(tmp_path / "input", "new")


def test_a_module_that_comes_from_its_compiled_form_is_read(tmp_path: Path) -> None:
    source = tmp_path / "net.py"
    source.write_text("x = 1")
    compiled = tmp_path / "__pycache__" / "net.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"compiled")
    compiled.read_bytes()
    with pytest.raises(WriteError):
        write_file(source, "new")


def test_what_was_only_written_may_be_written_again(tmp_path: Path) -> None:
    file = tmp_path / "out"
    for content in ("1", "2"):
        write_file(file, content)
    with whole_file(file) as part:
        part.write_text("3")
        assert part.read_text() == "3"  # a saver reads back what it wrote
    write_file(file, "4")
    assert file.read_text() == "4"


def test_what_is_meant_to_be_replaced_is_and_then_forgotten(tmp_path: Path) -> None:
    model = tmp_path / "net.pt"
    model.write_text("old")
    note_read(model)
    write_file(model, "new", over_input=True)
    for i in range(8):  # the system gives the inode of the old file to a new one
        write_file(tmp_path / f"r{i}.json", "1")
        write_file(tmp_path / f"r{i}.json", "2")
    assert model.read_text() == "new"


def test_a_conflict_is_found_when_the_outputs_are_declared(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    note_read(tmp_path / "a")
    declare_outputs((tmp_path / "b", tmp_path / "new"))
    with pytest.raises(WriteError, match="a file that is read"):
        declare_outputs((tmp_path / "a",))
    with pytest.raises(ConfigError, match="two options would write"):
        declare_outputs((tmp_path / "sub" / ".." / "new",))
    (tmp_path / "twin").hardlink_to(tmp_path / "b")
    with pytest.raises(ConfigError, match="two options would write"):
        declare_outputs((tmp_path / "twin",))


def test_two_outputs_may_go_to_one_device() -> None:
    declare_outputs(("/dev/null", "/dev/null"))


def test_the_next_run_knows_nothing_of_this_one(tmp_path: Path) -> None:
    file = tmp_path / "diagnosis.json"
    file.write_text("old")
    with registering():
        file.read_text()
    write_file(file, "new")
    with registering():
        write_file(file, "newer")
    assert file.read_bytes() == b"newer"
