"""A sensitivity sweep as JSON and back."""

from qdiag.core.measures.sensitivity import Sensitivity
from qdiag.writers.json.diagnosis import DIAGNOSIS_DERIVED
from qdiag.writers.json.plain import dump, to_plain


def sensitivity_to_json(sensitivity: Sensitivity) -> str:
    """The sweep, field by field; equal sweeps give equal bytes but for their `stages`, which are wall times."""
    return dump(to_plain(sensitivity, DIAGNOSIS_DERIVED)) + "\n"
