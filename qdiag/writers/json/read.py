"""Stored results read back, with errors that say where and what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from qdiag.errors import ConfigError, LoadError
from qdiag.files.read import RESULT_BYTES_MAX, read_text


class _Versioned(Protocol):
    @property
    def schema_version(self) -> int: ...


_Result = TypeVar("_Result", bound=_Versioned)


_Read = TypeVar("_Read")


def read_stored(path: Path, parse: Callable[[str], _Read], hint: str) -> _Read:
    """What `parse` makes of the text of a file.

    Raises:
        LoadError: there is no such file, or what `parse` raises; `at` is the file, and the place in it.
    """
    try:
        text = read_text(path, RESULT_BYTES_MAX)
    except UnicodeDecodeError:
        raise LoadError("not a text file", at=str(path), hint=hint) from None
    except OSError as error:
        raise LoadError(f"cannot be read: {error.strerror or error}", at=str(path), hint=hint) from None
    try:
        return parse(text)
    except LoadError as error:
        where = f"{path}, at {error.at}" if error.at else str(path)
        raise LoadError(error.message, at=where, hint=error.hint or hint) from None


def read_json(text: str, adapter: "TypeAdapter[_Result]", what: str, newest: int, hint: str | None = None) -> _Result:
    """What a writer of this package wrote; keys that the type does not have are ignored.

    Args:
        what: the kind of result, for messages. newest: the form that this version writes.
        hint: what to do about a file of another kind.

    Raises:
        LoadError: not JSON, not such a result, or written by a newer version; `at` is the place inside the text.
    """
    try:
        result = adapter.validate_json(text)
    except ValidationError as error:
        _check_version(_stated_version(text), newest)  # a newer form may well have other fields
        first: Any = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LoadError(f"not a {what} written by qdiag: {first['msg']}", at=where or None, hint=hint) from None
    except ConfigError as error:
        raise LoadError(f"the stored scheme makes no sense: {error}", at="scheme") from None
    _check_version(result.schema_version, newest)
    return result


def _check_version(found: object, newest: int) -> None:
    if isinstance(found, int) and found > newest:
        raise LoadError(
            f"written in form {found}, and this qdiag reads up to {newest}", at="schema_version", hint="update qdiag"
        )


def _stated_version(text: str) -> object:
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return plain.get("schema_version") if isinstance(plain, dict) else None
