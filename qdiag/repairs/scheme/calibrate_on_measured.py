"""`calibrate_on_measured`: ranges taken from the data that is measured on.

A test rather than a repair to ship: what it recovers is what better calibration data would.
"""

from collections.abc import Sequence

from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import layers_of, quantizer_owners
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_observations


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """One float pass over the measured data; only the sites' quantizers are set by it."""
    names = quantizer_owners(case, layers_of(case, sites))
    if not names:
        raise RepairRefused("no output here is quantized", at=", ".join(site.layer for site in sites) or None)
    names = tuple(name for name in names if not case.plan.layers[name].is_stored)
    if not names:
        raise RepairRefused("the quantized file stores these ranges: only quantizing it again changes them")
    if case.measured is case.calibration or case.measured.digest() == case.calibration.digest():
        raise RepairRefused("the measured data is what the ranges were taken from")
    seen = context.session.observe(case.network, case.measured, case.scheme)
    return Treatment(
        with_observations(context.session, case, {name: seen[name] for name in names if name in seen}), names
    )


CALIBRATE_ON_MEASURED = Repair("calibrate_on_measured", _apply)
