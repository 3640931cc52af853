"""A comparison as JSON: stored figures, and what follows from them beside."""

from collections.abc import Sequence

from qdiag.core.compare import Comparison, LayerChange, PercentChange
from qdiag.writers.json.plain import dump, to_plain

_DERIVED: dict[type, Sequence[str]] = {
    LayerChange: ("local_change_db", "propagated_change_db", "verdict"),
    PercentChange: ("change_pp", "verdict"),
}


def comparison_to_json(comparison: Comparison) -> str:
    """The comparison, field by field; equal comparisons give equal bytes.

    Infinite and undefined values are written as the strings "Infinity", "-Infinity" and "NaN".
    """
    return dump(to_plain(comparison, _DERIVED)) + "\n"
