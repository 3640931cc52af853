"""Stored results read back, with errors that say where and what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from qdiag.core.contradictions import contradictions
from qdiag.errors import ConfigError, LoadError
from qdiag.files.read import RESULT_BYTES_MAX, read_text
from qdiag.writers.json.exact import wrong_types


class _Versioned(Protocol):
    @property
    def schema_version(self) -> int: ...


_Result = TypeVar("_Result", bound=_Versioned)

_IN_FOLDERS = "diagnosis.json"
"""What is looked for where a folder is given."""
_ANEW = "measure it anew; what was edited by hand is no evidence"


_Read = TypeVar("_Read")


def read_stored(path: Path, parse: Callable[[str], _Read], hint: str) -> _Read:
    """What `parse` makes of the text of a file.

    Raises:
        LoadError: there is no such file, or what `parse` raises; `at` is the file, and the place in it.
    """
    try:
        text = read_text(path, RESULT_BYTES_MAX)
    except UnicodeDecodeError:
        raise LoadError("this is not a text file", at=str(path), hint=hint) from None
    except OSError as error:
        from qdiag.files.refusal import refusal

        if path.name == _IN_FOLDERS and not path.exists() and path.parent.is_dir():
            raise LoadError(f"there is no {path.name} in this folder", at=str(path.parent), hint=hint) from None
        raise LoadError(f"it cannot be read: {refusal(error)}", at=str(path), hint=hint) from None
    try:
        return parse(text)
    except LoadError as error:
        where = f"{path}, at {error.at}" if error.at else str(path)
        raise LoadError(error.message, at=where, hint=error.hint or hint) from None


_EXPECTED = (
    ("missing", "a value is missing"),
    ("int", "a whole number is needed"),
    ("float", "a number is needed"),
    ("finite", "a finite number is needed"),
    ("string", "a text is needed"),
    ("bool", "true or false is needed"),
    ("list", "a list is needed"),
    ("tuple", "a list is needed"),
    ("dict", "an object is needed"),
    ("dataclass", "an object is needed"),
    ("literal", "its value is none of those that are known"),
    ("enum", "its value is none of those that are known"),
)
"""By the beginnings of the kinds of error of the package that validates."""


def _expected(kind: str) -> str:
    return next((words for start, words in _EXPECTED if kind.startswith(start)), "its value is of another kind")


def read_json(text: str, adapter: "TypeAdapter[_Result]", what: str, newest: int, hint: str | None = None) -> _Result:
    """What a writer of this package wrote in the form of this version; keys that the type does not have are ignored.

    Args:
        what: the kind of result, for messages. newest: the form that this version writes.
        hint: what to do about a file of another kind.

    Raises:
        LoadError: not JSON, not such a result, or written by another version; `at` is the place inside the text.
    """
    plain = _parsed(text, what, hint)
    if isinstance(plain, dict) and isinstance(plain.get("schema_version"), int):
        _check_not_older(plain["schema_version"], what, newest)
    try:
        result = adapter.validate_json(text)
    except ValidationError as error:
        _check_version(
            plain.get("schema_version") if isinstance(plain, dict) else None, newest
        )  # a newer form may well have other fields
        first: Any = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LoadError(
            f"this is not a {what} written by qdiag: {_expected(str(first['type']))}", at=where or None, hint=hint
        ) from None
    except ConfigError as error:
        raise LoadError(f"the stored scheme makes no sense: {error}", at="scheme") from None
    _check_version(result.schema_version, newest)
    for where, found in wrong_types(result, plain):
        raise LoadError(f"this is not a {what} written by qdiag: {found} instead of this value", at=where, hint=hint)
    for where, contradiction in contradictions(result):
        raise contradicting(what, where, contradiction)
    return result


def contradicting(what: str, where: str, contradiction: str) -> LoadError:
    """For a result that no run can have written."""
    return LoadError(f"the stored {what} contradicts itself: {contradiction}", at=where or None, hint=_ANEW)


def stored_version(text: str) -> object:
    """The form that a text says it is of; None where it says none, or is no JSON."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return plain.get("schema_version") if isinstance(plain, dict) else None


def _check_not_older(found: int, what: str, newest: int) -> None:
    if 1 <= found < newest:
        raise LoadError(
            f"the {what} is of form {found}, which an older qdiag wrote and which counted the answers of classifiers "
            f"alone; this one reads form {newest}",
            at="schema_version",
            hint="measure the network anew",
        )


def _check_version(found: object, newest: int) -> None:
    if isinstance(found, int) and found < 1:
        raise LoadError(f"there is no form {found}", at="schema_version")
    if isinstance(found, int) and found > newest:
        raise LoadError(
            f"written in form {found}, and this qdiag reads up to {newest}", at="schema_version", hint="update qdiag"
        )


def _parsed(text: str, what: str, hint: str | None) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise LoadError(f"this is not a {what} written by qdiag: it is nested too deeply", hint=hint) from None
    except ValueError as error:
        from qdiag.files.refusal import refusal

        raise LoadError(f"this is not a {what} written by qdiag: it is no JSON ({refusal(error)})", hint=hint) from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands there twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")
