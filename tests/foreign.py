"""Names as hostile as names can be, in every text that a result has."""

import dataclasses
from collections.abc import Callable
from typing import Any

from qdiag.core.measures.task import Criterion, TaskChoice
from qdiag.core.printable import is_printable

HOSTILE = (
    "x\n::error::forged\n##[set-env name=A]b\r\x1b[2J\x1b]8;;http://x\x07\x9b31m\x7f\u202egnp.exe\u2028\u2029"
    "\udcff\ufeff</script><script>alert(1)</script>]]>\x00```\n````~~~|"
    "@all $\\frac$ <!-- `#1` ![a](b) &amp;\ufffe\uffff"
)
FORMULA = "=cmd|' /C calc'!A0"


def hostile(value: Any, change: Callable[[str], str] = lambda text: f"{text}{HOSTILE}") -> Any:
    """The dataclass with `change` made to every text that is not a word of ours.

    Layers keep referring to one another, since equal texts stay equal.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = {
            field.name: getattr(value, field.name)
            if _is_ours(value, field.name)
            else hostile(getattr(value, field.name), change)
            for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **kept)
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(hostile(item, change) for item in value)
    if isinstance(value, dict):
        return {key: hostile(item, change) for key, item in value.items()}
    return value


def _is_ours(value: Any, name: str) -> bool:
    if isinstance(value, Criterion):
        return value.is_share and name != "name"  # a metric has the name and the unit that its author gave it
    return name in _OURS or (isinstance(value, TaskChoice) and name == "reason")


_OURS = {
    *("code", "repair", "repairs", "verdict", "kind", "part", "unit", "rule", "status", "granularity"),
    *("calibrator", "bias", "policy", "direction", "paired_by", "certainty", "evidence_kind", "evidence", "format"),
    *("reference", "simulated", "digest", "file_digest", "role", "stage", "fingerprints", "no_new_causes"),
    *("forbid", "warn_codes", "weights", "activations", "number_format", "formats", "batchnorm", "arithmetic"),
}
"""Fields whose texts are words of this program, or digests."""


def assert_clean(text: str, *, where: str = "") -> None:
    """Nothing in it does anything, and no line is a workflow command."""
    for number, line in enumerate(text.split("\n")):
        assert is_printable(line), f"{where}, line {number}: {line!r}"
        assert not line.lstrip().startswith("::"), f"{where}, line {number}: {line!r}"


FOREIGN_PHRASES = (
    # click and typer
    "No such option", "No such command", "Missing argument", "Missing option", "Missing command", "Invalid value",
    "is not one of", "unexpected extra argument", "requires an argument", "does not take a value", "Possible options",
    "Try 'qdiag", "Show this message and exit", "is not a valid", "is not in the range",
    # pydantic
    "Input should be", "Value error", "validation error", "Field required", "type=",
    # tomllib and json
    "(at line ", "Expected '=' after", "Invalid statement", "Expecting value", "Expecting property name",
    "Extra data: line", "Unterminated string starting", "Invalid control character at", "delimiter: line",
    # Python and the operating system
    "[Errno", "No such file or directory", "Permission denied", "Is a directory", "Traceback", "codec can't",
    "invalid literal for", "could not convert string", "object is not", "has no attribute", "ValueError:", "KeyError:",
    "TypeError:", "RuntimeError:", "UnpicklingError", "ZipFile", "not a zip file", "BadZipFile", "EOFError",
    # torch, numpy, PIL and safetensors
    "PytorchStreamReader", "Error(s) in loading state_dict", "Unexpected key(s)", "Missing key(s)", "size mismatch for",
    "mat1 and mat2", "Cannot load file containing pickled data", "cannot identify image file", "UnidentifiedImageError",
    "SafetensorError", "HeaderTooLarge", "InvalidHeader", "MetadataIncompleteBuffer", "DecodeError",
    "Error parsing message", "Protobuf",
)  # fmt: skip
"""Phrases of other libraries, none of which a user is to meet."""
