"""A baseline as JSON: sorted, one figure a line, so that a change shows as a change in version control."""

from pathlib import Path

from pydantic import TypeAdapter

from qdiag.core.baseline import BASELINE_SCHEMA_VERSION, Baseline
from qdiag.errors import LoadError
from qdiag.files.read import RESULT_BYTES_MAX, read_text
from qdiag.writers.json.read import read_json
from qdiag.writers.plain_json import dump, to_plain

_HINT = "qdiag gate ... --baseline FILE --update-baseline writes one"


def baseline_to_json(baseline: Baseline) -> str:
    """Keys in alphabetical order, layers too; equal baselines give equal bytes."""
    plain = to_plain(baseline, {})
    return dump(dict(sorted(plain.items()))) + "\n"


def read_baseline(path: str | Path) -> Baseline:
    """What `baseline_to_json` wrote.

    Raises:
        LoadError: no such file, something else, or written by a newer version.
    """
    try:
        text = read_text(path, RESULT_BYTES_MAX)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise LoadError(f"the baseline cannot be read: {reason}", at=str(path), hint=_HINT) from None
    try:
        return read_json(text, TypeAdapter(Baseline), "baseline", BASELINE_SCHEMA_VERSION, _HINT)
    except LoadError as error:
        raise LoadError(
            error.message, at=f"{path}, at {error.at}" if error.at else str(path), hint=error.hint
        ) from None
