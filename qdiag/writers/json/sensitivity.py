"""A sensitivity sweep as JSON and back."""

from functools import cache

from pydantic import TypeAdapter

from qdiag.core.measures.measurement import SCHEMA_VERSION
from qdiag.core.measures.sensitivity import Sensitivity
from qdiag.writers.json.diagnosis import DIAGNOSIS_DERIVED
from qdiag.writers.json.plain import dump, to_plain
from qdiag.writers.json.read import read_json


def sensitivity_to_json(sensitivity: Sensitivity) -> str:
    """The sweep, field by field; equal sweeps give equal bytes but for their `stages`, which are wall times."""
    return dump(to_plain(sensitivity, DIAGNOSIS_DERIVED)) + "\n"


def sensitivity_from_json(text: str) -> Sensitivity:
    """What `sensitivity_to_json` wrote.

    Raises:
        LoadError: not JSON, not a sweep, or written by a newer version.
    """
    return read_json(text, _adapter(), "sensitivity", SCHEMA_VERSION)


@cache
def _adapter() -> "TypeAdapter[Sensitivity]":
    return TypeAdapter(Sensitivity)
