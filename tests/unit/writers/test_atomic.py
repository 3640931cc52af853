from pathlib import Path

import pytest

from qdiag.errors import WriteError
from qdiag.files.atomic import check_writable, write_file


def test_a_file_is_replaced_whole_and_no_temporary_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")
    write_file(target, "né")
    assert target.read_bytes() == "né".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_what_lay_there_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")

    def full_disk(self: Path, _: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(WriteError, match="the disk is full") as caught:
        write_file(target, "new")
    assert caught.value.at == str(target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_others_may_read_the_file_as_far_as_the_umask_allows(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_file(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_folder_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="the folder does not exist") as caught:
        check_writable(tmp_path / "absent" / "out.json")
    assert caught.value.hint == f"create it: mkdir -p {tmp_path / 'absent'}"
    with pytest.raises(WriteError, match="is a folder"):
        check_writable(tmp_path)


def test_a_dash_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    check_writable("-")
    write_file("-", "dB\n")
    assert capfdbinary.readouterr().out == b"dB\n"
