"""Zip archives that no two readers can understand differently, and their content as it was looked through.

What is screened has to be what is loaded. torch's zip reader and Python's take different members where a name is there
twice, where the directory at the end disagrees with the headers in front of the members, or where members overlap; and
a file may change between two readings. So such archives count as damaged, and where screening matters the members are
read once, and torch gets an archive that is written anew from them.
"""

import io
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from qdiag.errors import DataError, LoadError
from qdiag.files.read import open_regular

UNPACKED_FACTOR_MAX, UNPACKED_BYTES_MIN = 200, 64 << 20
"""What an archive may unpack to: so many times its size, or so many bytes if that is more."""
NAME_BYTES_MAX = 500
"""torch's reader cuts longer names off."""

_HINT = "it is damaged; copy or save it again"
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_LOCAL_MAGIC = b"PK\x03\x04"
_IS_ENCRYPTED, _SIZES_FOLLOW = 0x1 | 0x40 | 0x2000, 0x8
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_IN_EXTRA = 0xFFFFFFFF
_CHUNK_BYTES = 1 << 20


def member_names(path: Path) -> tuple[str, ...]:
    """The names in an archive that holds nothing unusual.

    Raises:
        zipfile.BadZipFile: there is no directory at the end of the file, as when it was cut short.
        LoadError: an archive that two readers could understand differently, or that unpacks to too much.
    """
    with open_regular(path) as stream:
        return tuple(member.filename for member in _checked(stream, str(path)).infolist())


def zip_names(path: Path) -> tuple[str, ...]:
    """The names in a zip archive of data; none for any other file.

    Raises:
        DataError: an archive that is damaged, or that unpacks to too much.
    """
    try:
        with open_regular(path) as stream:
            if not zipfile.is_zipfile(stream):
                return ()
        return member_names(path)
    except zipfile.BadZipFile as error:
        raise DataError("the archive cannot be read", at=str(path), hint=_HINT) from error
    except LoadError as error:
        raise DataError(error.message, at=error.at, hint=error.hint) from error


def read_archive(path: Path) -> dict[str, bytes]:
    """All members by name, unpacked.

    Raises:
        LoadError: as `member_names`, or a member that cannot be read.
    """
    with open_regular(path) as stream:
        try:
            archive = _checked(stream, str(path))
        except zipfile.BadZipFile as error:
            raise LoadError("the archive cannot be read", at=str(path), hint=_HINT) from error
        found = {}
        for member in archive.infolist():
            try:
                found[member.filename] = archive.read(member)
            except Exception as error:  # zlib, zipfile and struct each have their own
                raise _damaged(f"its member {member.filename} cannot be read", str(path)) from error
        return found


def check_sums(path: Path) -> None:
    """Holds every member of an archive against the checksum that was stored with it, which torch's reader does not.

    A checksum of 0 is none: torch stores it where it is told to compute none.

    Raises:
        LoadError: as `read_archive`, or a member whose content is not what was saved.
    """
    with open_regular(path) as stream:
        try:
            archive = _checked(stream, str(path))
        except zipfile.BadZipFile as error:
            raise LoadError("the archive cannot be read", at=str(path), hint=_HINT) from error
        for member in archive.infolist():
            try:
                with archive.open(member) as content:
                    while member.CRC and content.read(_CHUNK_BYTES):
                        pass  # at its end, the checksum is compared
            except Exception as error:  # zlib, zipfile and struct each have their own
                raise _damaged(f"its member {member.filename} is not what was saved", str(path)) from error


def write_archive(members: Mapping[str, bytes]) -> io.BytesIO:
    """An archive with these members, stored, to be read from its start."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    stream.seek(0)
    return stream


def root_of(names: tuple[str, ...]) -> str:
    """The folder that all members lie in, with its slash; empty where there is none."""
    roots = {name.split("/", 1)[0] for name in names}
    return f"{roots.pop()}/" if len(roots) == 1 and all("/" in name for name in names) else ""


def _checked(stream: BinaryIO, at: str) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, EOFError) as error:
        raise zipfile.BadZipFile(str(error)) from error
    except Exception as error:  # names that are no text, versions and dates that do not exist
        raise _damaged("its directory cannot be read", at) from error
    members = archive.infolist()
    _check_names([member.filename for member in members], at)
    size = os.fstat(stream.fileno()).st_size
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(UNPACKED_BYTES_MIN, size * UNPACKED_FACTOR_MAX):
        raise LoadError(
            f"it unpacks to {unpacked >> 20} MiB, more than {UNPACKED_FACTOR_MAX} times its size",
            at=at,
            hint="it is no archive that torch writes; save it again",
        )
    end_before = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        start, end = member.header_offset, _end(stream, member, size, at)
        if start < end_before:
            raise _damaged(f"its member {member.filename} overlaps another one", at)
        end_before = end
    if end_before > archive.start_dir:
        raise _damaged("a member overlaps its directory", at)
    return archive


def _check_names(names: list[str], at: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise _damaged(f"its member {name} is there twice", at)
        if "\0" in name or len(name.encode("utf-8", "surrogatepass")) > NAME_BYTES_MAX:
            raise _damaged(f"the name {name[:40]!r} of a member is too long or no text", at)
        seen.add(name)


def _end(stream: BinaryIO, member: zipfile.ZipInfo, size: int, at: str) -> int:
    """Where a member ends, after its local header was compared with the directory."""
    name = member.filename
    if member.compress_type not in _METHODS:
        raise _damaged(f"its member {name} is neither stored nor deflated", at)
    if member.flag_bits & _IS_ENCRYPTED:
        raise _damaged(f"its member {name} is encrypted", at)
    if member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size:
        raise _damaged(f"its member {name} has two sizes", at)
    if not 0 <= member.header_offset < size:
        raise _damaged(f"the header of its member {name} is not where its directory says", at)
    stream.seek(member.header_offset)
    head = stream.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(_LOCAL_MAGIC):
        raise _damaged(f"the header of its member {name} is not where its directory says", at)
    _, _, flags, method, _, _, crc, packed, unpacked, name_bytes, extra_bytes = _LOCAL.unpack(head)
    if stream.read(name_bytes) != _raw_name(member):
        raise _damaged(f"its directory and the header of its member {name} give two names", at)
    wanted = (member.CRC, member.compress_size, member.file_size)
    told = (crc, packed, unpacked)
    is_later = flags & _SIZES_FOLLOW and told == (0, 0, 0)
    if method != member.compress_type or flags & _IS_ENCRYPTED:
        raise _damaged(f"its directory and the header of its member {name} disagree", at)
    if not is_later and any(a not in (b, _IN_EXTRA) for a, b in zip(told, wanted, strict=True)):
        raise _damaged(f"its directory and the header of its member {name} disagree on its size", at)
    return member.header_offset + _LOCAL.size + int(name_bytes) + int(extra_bytes) + member.compress_size


def _raw_name(member: zipfile.ZipInfo) -> bytes:
    return member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437")


def _damaged(fact: str, at: str) -> LoadError:
    return LoadError(f"the archive is damaged: {fact}", at=at, hint="copy or save it again")
