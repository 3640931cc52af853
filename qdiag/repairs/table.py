"""Every repair, by name."""

from collections.abc import Mapping

from qdiag.repairs.base import Repair
from qdiag.repairs.equalize import EQUALIZE
from qdiag.repairs.reset_variance_repair import RESET_VARIANCE_CONSTANT, RESET_VARIANCE_MEAN

REPAIRS: Mapping[str, Repair] = {
    repair.name: repair
    for repair in (
        RESET_VARIANCE_MEAN,
        RESET_VARIANCE_CONSTANT,
        EQUALIZE,
    )
}
"""One line each; what results say of them stands in `qdiag.core.repair_names`."""
