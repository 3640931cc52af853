"""`wide_accumulator`: sums of products in 32 bits, without int16 pairs: another processor, for the whole network."""

from collections.abc import Sequence
from dataclasses import replace

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.simulate.arithmetic.table import adds_narrowly, adds_pairs_in_int16
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme

_BITS = 32


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    del sites
    scheme, settings = case.scheme, []
    limited = [layer.name for layer in case.network.graph.layers if adds_narrowly(case.plan, layer)]
    if scheme.accumulator_bits < _BITS:
        settings.append(f"accumulator_bits={_BITS}")
    if scheme.pair_saturation:
        settings.append("pair_saturation=false")
    if not settings:
        if any(adds_pairs_in_int16(case.plan, layer) for layer in case.network.graph.layers):
            raise RepairRefused(
                "the accumulator is wide, and the depthwise kernels of fbgemm add pairs in int16 on every x86 processor"
            )
        raise RepairRefused("the accumulator is wide, and no pairs are added in int16")
    if not limited:
        raise RepairRefused("no layer here adds up integers in narrow sums")
    bits = max(scheme.accumulator_bits, _BITS)
    treated = with_scheme(context.session, case, replace(scheme, accumulator_bits=bits, pair_saturation=False))
    costs = (Evidence("accumulator_bits", float(bits), "bits"),)
    return Treatment(treated, tuple(limited), settings=tuple(settings), costs=costs)


WIDE_ACCUMULATOR = Repair("wide_accumulator", _apply)
