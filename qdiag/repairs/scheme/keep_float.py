"""`keep_float`: the arithmetic of some layers stays in float; what they hand to integer layers is still quantized.

A layer without quantized weights loses nothing but what the quantizer at its output takes, and so does an input. Float
arithmetic alone would change nothing there: the layers that read it are kept in float as well, through pooling and
moves of values, so that it reaches them without rounding.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.graph import INPUT, Layer
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import escaped, layers_of
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """Float arithmetic at the sites, and where they have no quantized weight at what reads them.

    Raises:
        RepairRefused: all layers are in float already, or no layer is named: the whole network in float is no repair.
    """
    if not sites:
        raise RepairRefused("no layer is named")
    names = tuple(
        layer.name
        for layer in _with_readers(case, layers_of(case, sites))
        if layer.kind != INPUT and case.plan.layers[layer.name].skip_reason is None
    )
    if not names:
        at = ", ".join(site.layer for site in sites[:3])
        raise RepairRefused("the arithmetic here runs in float already", at=at)
    patterns = (*case.scheme.float_layers, *map(escaped, names))
    setting = f"float_layers=[{', '.join(json.dumps(pattern, ensure_ascii=False) for pattern in patterns)}]"
    treated = with_scheme(context.session, case, replace(case.scheme, float_layers=patterns))
    return Treatment(treated, names, settings=(setting,), costs=_costs(names, context))


def _with_readers(case: Case, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    graph, plans, wanted = case.network.graph, case.plan.layers, {layer.name for layer in layers}
    waiting = [x for x in layers if plans[x.name].weight is None and plans[x.name].skip_reason is None]
    while waiting:
        for reader in graph.consumers(waiting.pop().name):
            if reader.name not in wanted and reader.policy in ("pass", "shared"):
                waiting.append(reader)
            wanted.add(reader.name)
    return tuple(layer for layer in graph.layers if layer.name in wanted)


def _costs(names: Sequence[str], context: RepairContext) -> tuple[Evidence, ...]:
    total = sum(facts.mac_count for facts in context.facts.values())
    if not total:
        return ()
    own = sum(context.facts[name].mac_count for name in names if name in context.facts)
    return (Evidence("float_mac_fraction", 100.0 * own / total, "%"),)


KEEP_FLOAT = Repair("keep_float", _apply)
