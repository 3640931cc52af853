"""Archives that two zip readers understand differently are damaged; what was looked through is what is loaded."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qdiag.cli.app import run
from qdiag.errors import LoadError
from qdiag.loaders.archive import check_sums, read_archive, root_of, write_archive
from qdiag.loaders.models import exported
from qdiag.loaders.models.formats import load_subject
from tests.unit.loaders import model_files as files


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt2"
    files.write_exported(files.trained_net(), path)
    return path


def raw_zip(members: list[tuple[str, bytes, int]]) -> bytes:
    """A zip archive with these members in this order, whatever they are: name, content, method."""
    body, directory = io.BytesIO(), io.BytesIO()
    for name, content, method in members:
        packed = content
        if method == zipfile.ZIP_BZIP2:
            import bz2

            packed = bz2.compress(content)
        elif method == zipfile.ZIP_DEFLATED:
            packed = zlib.compress(content)[2:-4]
        text, at = name.encode(), body.tell()
        sizes = (zlib.crc32(content), len(packed), len(content), len(text), 0)
        body.write(struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 46, 0, method, 0, 33, *sizes) + text + packed)
        directory.write(
            struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 46, 46, 0, method, 0, 33, *sizes, 0, 0, 0, 0, at) + text
        )
    start, size = body.tell(), directory.tell()
    count = len(members)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)
    return body.getvalue() + directory.getvalue() + end


def test_two_readers_cannot_be_shown_two_archives(program: Path, tmp_path: Path) -> None:
    """Found by attacking: torch takes the first of two members of one name, Python's zip the last; and a member that
    torch's reader cannot unpack made the screen use Python's reader alone."""
    marker = tmp_path / "executed"
    evil = io.BytesIO()
    torch.save(files.Payload(marker), evil)
    config = "data/constants/model_constants_config.json"
    constant = {"path_name": "tensor_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    hostile = json.dumps({"config": {"c": constant}}).encode()
    members = [(name, content, 0) for name, content in read_archive(program).items()]
    root = root_of(tuple(name for name, _, _ in members))
    members = [member for member in members if not member[0].endswith(config)]
    attack = [
        (f"{root}{config}", hostile, 0),
        *members,
        (f"{root}data/constants/tensor_0", evil.getvalue(), 0),
        (f"{root}{config}", b'{"config": {}}', 0),
    ]
    bzip2 = (f"{root}extra/x.json", b"{}", zipfile.ZIP_BZIP2)
    for archive in ([*attack, bzip2], attack, [*attack[:-1], bzip2]):
        program.write_bytes(raw_zip(archive))
        for command in ("sqnr", "bn", "fix-bn", "ranges", "diagnose", "sensitivity", "repair", "rank", "gate"):
            words = [command, str(program)]
            words += ["-o", str(tmp_path / "out")] if command in ("fix-bn", "diagnose", "repair") else []
            words += ["--max-drop", "1"] if command == "gate" else []
            assert run(words) == 2
            assert not marker.exists()
        for trust in (False, True):
            with pytest.raises(LoadError, match=r"the archive is damaged: its member .* is (there twice|neither)"):
                load_subject(program, trust=trust)
    assert not marker.exists()
    program.write_bytes(raw_zip(attack[:-1]))  # the twin that shows that the attack is one
    with pytest.raises(LoadError):
        load_subject(program)
    assert not marker.exists()
    load_subject(program, trust=True)
    assert marker.exists()


DAMAGES: dict[str, tuple[list[tuple[str, bytes, int]] | Callable[[bytes], bytes], str]] = {
    "twice": ([("m/a", b"1", 0), ("m/b", b"2", 0), ("m/a", b"3", 0)], "m/a is there twice"),
    "bzip2": ([("m/a", b"1", 0), ("m/b", b"2", 12)], "m/b is neither stored nor deflated"),
    "long name": ([("m/" + "a" * 600, b"1", 0)], "is too long"),
    "no data where the directory says": (lambda data: data.replace(b"PK\x03\x04", b"PK\x03\x05", 1), "is not where"),
    "another name in front": (lambda data: data.replace(b"m/a", b"m/c", 1), "give two names"),
    "another method in front": (lambda data: data[:8] + b"\x08" + data[9:], "disagree"),
    "another size in front": (lambda data: data[:18] + b"\x09" + data[19:], "disagree on its size"),
    "encrypted": (
        lambda data: data.replace(b"PK\x01\x02\x2e\x00\x2e\x00\x00", b"PK\x01\x02\x2e\x00\x2e\x00\x01"),
        "encrypt",
    ),
    "another content": (lambda data: data.replace(b"first", b"FIRST"), "m/a cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(damage: str, tmp_path: Path) -> None:
    how, fact = DAMAGES[damage]
    plain = [("m/a", b"first", 0), ("m/b", b"second", 8)]
    path = tmp_path / "x.pt"
    path.write_bytes(raw_zip(how) if isinstance(how, list) else how(raw_zip(plain)))
    with pytest.raises(LoadError, match=fact) as caught:
        read_archive(path)
    assert caught.value.at == str(path)
    path.write_bytes(raw_zip(plain))
    assert read_archive(path) == {"m/a": b"first", "m/b": b"second"}


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    data = raw_zip([("m/a", b"x" * 100, 0), ("m/b", b"second", 0)])
    inner = data.index(b"PK\x03\x04", 4)
    packed = bytearray(data)
    first = data.index(b"PK\x01\x02")
    for place in (18, 22):  # the first member reaches over the header of the second
        struct.pack_into("<I", packed, place, 120)
        struct.pack_into("<I", packed, first + place + 2, 120)
    assert inner < 33 + 120
    (tmp_path / "x.pt").write_bytes(packed)
    with pytest.raises(LoadError, match="overlaps another one"):
        read_archive(tmp_path / "x.pt")


def test_an_archive_that_unpacks_a_thousandfold_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"\0" * (100 << 20))
    for read in (read_archive, load_subject):
        with pytest.raises(LoadError, match="unpacks to 100 MiB, more than 200 times its size"):
            read(path)


def test_what_is_written_is_what_both_readers_see(tmp_path: Path) -> None:
    members = {"m/a.json": b"{}", "m/data/0": os.urandom(1000), "m/version": b"3\n"}
    stream = write_archive(members)
    reader = torch._C.PyTorchFileReader(stream)
    assert {f"m/{name}": bytes(reader.get_record(name)) for name in reader.get_all_records()} == members
    with zipfile.ZipFile(stream) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members


def test_a_file_that_changes_after_it_was_looked_through_is_not_read_again(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "executed"
    screen = exported.code_in_archive

    def change_behind(*args: object) -> str | None:
        found = screen(*args)  # type: ignore[arg-type]
        program.write_bytes(pickle.dumps(files.Payload(marker)))
        return found

    monkeypatch.setattr(exported, "code_in_archive", change_behind)
    assert load_subject(program).format == "exported_program"
    assert not marker.exists()


@pytest.mark.parametrize("has_sums", [True, False])
def test_weights_that_are_not_those_that_were_saved(
    has_sums: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """torch's reader does not compare the checksum of a member with its content; where it stored none, nothing can."""
    path, before = tmp_path / "net.pt", torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(has_sums)
    try:
        torch.save(files.trained_net().state_dict(), path)
    finally:
        torch.serialization.set_crc32_options(before)
    check_sums(path)
    content = read_archive(path) if has_sums else {}
    whole = path.read_bytes()
    stored = max((value for name, value in content.items() if "/data/" in name), key=len, default=whole[700:900])
    path.write_bytes(whole.replace(stored, bytes(len(stored))))
    if has_sums:
        assert run(["bn", str(path)]) == 2
        assert "is not what was saved" in capsys.readouterr().err
    else:
        check_sums(path)
