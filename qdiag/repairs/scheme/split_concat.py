"""`split_concat`: a concat at an output of the network is left out, and every branch keeps the quantizer it has.

The scale of a concat is made for its widest branch. Where it ends in an output alone, integer backends need not join
the branches at all: the network gives each of them by itself, dequantized with its own scale, and whoever reads the
output joins them. Deployment tools call it splitting the outputs, or excluding the concat from quantization. What the
network does to the joined values on the way to the output is left to the reader as well.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from qdiag.capture.outputs.tails import output_concats
from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import escaped, layers_of, places
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """The concats among the sites; without sites all that end in an output.

    Raises:
        RepairRefused: none of them ends in the outputs of the network alone, or all are split already.
    """
    network = case.network
    tails = output_concats(network.program, network.graph)
    named = [layer.name for layer in layers_of(case, sites) if layer.name in tails]
    names = [name for name in named if case.plan.layers[name].output is not None]
    if not names:
        why = (
            "nothing is quantized here" if named else "no concat here ends in an output of the network and nowhere else"
        )
        raise RepairRefused(why, at=places(sites))
    patterns = (*case.scheme.split_concats, *map(escaped, names))
    setting = f"split_concats=[{', '.join(json.dumps(pattern, ensure_ascii=False) for pattern in patterns)}]"
    treated = with_scheme(context.session, case, replace(case.scheme, split_concats=patterns))
    changed = {layer for name in names for layer in tails[name]}
    layers = tuple(layer.name for layer in network.graph.layers if layer.name in changed)
    branches = sum(len(network.graph.layer(name).inputs) for name in names)
    return Treatment(treated, layers, settings=(setting,), costs=(Evidence("branches", float(branches)),))


SPLIT_CONCAT = Repair("split_concat", _apply)
