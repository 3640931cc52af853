"""A baseline as JSON: sorted, one figure a line, so that a change shows as a change in version control."""

from pathlib import Path

from pydantic import TypeAdapter

from qdiag.core.baseline import BASELINE_SCHEMA_VERSION, Baseline
from qdiag.core.contradictions import contradictions
from qdiag.writers.json.baseline_v1 import FORM, baseline_of_form_1
from qdiag.writers.json.read import contradicting, read_json, read_stored, stored_version
from qdiag.writers.plain_json import dump, to_plain

_HINT = "qdiag gate ... --baseline FILE --update-baseline writes one"


def baseline_to_json(baseline: Baseline) -> str:
    """Keys in alphabetical order, layers too; equal baselines give equal bytes."""
    plain = to_plain(baseline, {})
    return dump(dict(sorted(plain.items()))) + "\n"


def read_baseline(path: str | Path) -> Baseline:
    """What `baseline_to_json` wrote, or an older version of it.

    Raises:
        LoadError: no such file, something else, or written by a newer version.
    """
    return read_stored(Path(path), _from_json, _HINT)


def _from_json(text: str) -> Baseline:
    if stored_version(text) != FORM:
        return read_json(text, TypeAdapter(Baseline), "baseline", BASELINE_SCHEMA_VERSION, _HINT)
    baseline = baseline_of_form_1(text, _HINT)
    for where, what in contradictions(baseline):
        raise contradicting("baseline", where, what)
    return baseline
