"""Mutations of a file: of its bytes, of its text, and of the members of a zip archive with right checksums."""

import io
import json
import random
import re
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

_NUMBERS = (b"0", b"-1", b"1e999", b"NaN", b"99999999999999999999", b"9**9**9", b"u999999999", b"true", b"null", b'""')
_VALUES = (None, True, 0, -1, 1, 3, 2**31, 2**63, 10**30, 1e308, float("nan"), float("inf"), "", "x", "s0", [], {})
_BYTES = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"\x80\x02", b"PK\x03\x04", b"\n")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_WORD = re.compile(rb"[A-Za-z_]{2,}")
_STRUCTURE = (b"{", b"}", b"[", b"]", b'"', b",", b":", b"=", b"#", b"'", b"[" * 3000, b'{"a":' * 3000, b"\xe2\x80\xae")


def mutated(seeds: list[bytes], rng: random.Random, is_text: bool) -> bytes:
    """One of the files with one to four changes."""
    data = rng.choice(seeds)
    if data[:2] == b"PK" and rng.random() < 0.7:
        return _zip(data, rng)
    if data[:1] in (b"{", b"[") and rng.random() < 0.6:
        return _json(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        looks_text = is_text or (rng.random() < 0.3 and b"\0" not in data[:200])
        change = rng.choice(_TEXT if looks_text else _BINARY)
        data = change(data, rng)
    if rng.random() < 0.03:
        other = rng.choice(seeds)
        data = data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
    return data


def _json(data: bytes, rng: random.Random) -> bytes:
    """One to three values of a JSON text changed, dropped or exchanged; the text itself is sound."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places = [place for place in _places(content, 200_000) if isinstance(place[0], dict | list)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not places:
            break
        holder, key = rng.choice(places)
        other, other_key = rng.choice(places)
        try:
            if rng.random() < 0.15:
                del holder[key]
            elif rng.random() < 0.5:
                holder[key] = _alike(holder[key], rng)
            elif rng.random() < 0.5:
                holder[key] = rng.choice(_VALUES)
            else:
                holder[key] = other[other_key]
        except (KeyError, IndexError):  # it went with an earlier change
            continue
    try:
        return json.dumps(content).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # a value within itself
        return data


def _alike(value: Any, rng: random.Random) -> Any:
    """Another value of the same type, which a reader that looks at types alone lets pass."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, 0, -value, 2 * value))
    if isinstance(value, float):
        return value * rng.choice((0.0, -1.0, 0.999, 1.001, 2.0, 1e-300))
    if isinstance(value, str):
        return rng.choice((value + "x", value[::-1], value[:-1], value.upper(), "NaN", "Infinity"))
    if isinstance(value, list) and value:
        return rng.choice((value[1:], value[:-1], value[::-1], value + value[-1:]))
    return value


def _places(content: Any, at_most: int) -> list[tuple[Any, Any]]:
    """(holder, key or index) of every value, at any depth."""
    found: list[tuple[Any, Any]] = []
    stack = [content]
    while stack and len(found) < at_most:
        value = stack.pop()
        keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            found.append((value, key))
            stack.append(value[key])
    return found


def _place(data: bytes, rng: random.Random) -> int:
    # Headers stand at the front and directories at the end.
    where = rng.random()
    if where < 0.4:
        return rng.randrange(min(len(data), 256) + 1)
    if where < 0.6:
        return max(0, len(data) - rng.randrange(min(len(data), 512) + 1))
    return rng.randrange(len(data) + 1)


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\0"
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[_place(data, rng) % len(data)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    at, new = _place(data, rng), rng.choice(_BYTES)
    return data[:at] + new + data[at + len(new) :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice(_BYTES) * rng.choice((1, 1, 3, 50)) + data[at:]


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 16, 300)) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    piece = data[at : at + rng.choice((1, 4, 30, 500))]
    return data[:at] + piece * rng.choice((2, 3, 40)) + data[at:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _number(data: bytes, rng: random.Random) -> bytes:
    return _replaced(data, _NUMBER, rng.choice(_NUMBERS), rng)


def _word(data: bytes, rng: random.Random) -> bytes:
    found = _WORD.findall(data[:100_000])
    return _replaced(data, _WORD, rng.choice(found) if found else b"x", rng)


def _structure(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice(_STRUCTURE) + data[at + rng.randrange(2) :]


def _line(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at : at + 1] = rng.choice(([], [lines[at]] * 2, [lines[rng.randrange(len(lines))]]))
    return b"\n".join(lines)


def _replaced(data: bytes, pattern: re.Pattern[bytes], new: bytes, rng: random.Random) -> bytes:
    found = list(pattern.finditer(data[:200_000]))
    if not found:
        return data + new
    match = rng.choice(found)
    return data[: match.start()] + new + data[match.end() :]


_BINARY: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _flip, _flip, _overwrite, _insert, _remove, _repeat, _cut,
)  # fmt: skip
_TEXT: tuple[Callable[[bytes, random.Random], bytes], ...] = (_number, _number, _word, _structure, _line, _flip, _cut)


def _zip(data: bytes, rng: random.Random) -> bytes:
    """Members changed, dropped, renamed, doubled or packed otherwise; the archive itself is sound."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = rng.randrange(len(members))
    telling = [i for i, (name, _) in enumerate(members) if name.endswith((".json", ".py", ".pkl", ".npy"))]
    if telling and rng.random() < 0.6:
        at = rng.choice(telling)
    name, content = members[at]
    action = rng.random()
    if action < 0.75 and content:
        members[at] = (name, mutated([content], rng, is_text=name.endswith((".json", ".py"))))
    elif action < 0.82:
        del members[at]
    elif action < 0.88:
        members[at] = (members[rng.randrange(len(members))][0], content)
    elif action < 0.94:
        members[at] = (name, members[rng.randrange(len(members))][1])
    else:
        members.append((f"{name}{rng.choice(('', 'x', '/../x', '.json', '.py'))}", content))
    out = io.BytesIO()
    methods = [zipfile.ZIP_BZIP2 if rng.random() < 0.01 else zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two members with one name
        for member, value in members:
            archive.writestr(member, value, compress_type=rng.choice(methods))
    return out.getvalue()
