"""`fuse_branches`: every block of parallel linear branches becomes one convolution, wherever that is exact."""

from collections.abc import Sequence

import torch

from qdiag.capture.branches.find import find_blocks
from qdiag.capture.branches.fuse import fuse_blocks
from qdiag.core.causes.findings import FindingSite
from qdiag.errors import ConfigError, RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_program


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """The layers of the treatment are the convolutions; float outputs stay, up to rounding."""
    del sites
    with torch.no_grad():
        blocks = find_blocks(case.program)
        fused = fuse_blocks(case.program, blocks)
    if not fused.nodes:
        reasons = dict.fromkeys(block.refused for block in blocks if block.refused is not None)
        raise RepairRefused(f"no block can be fused: {', '.join(reasons) or NO_BLOCK}")
    try:
        treated = with_program(context.session, case, fused.program, case.scheme)
    except ConfigError as error:
        # a pattern of the scheme named a layer of a branch, which is no layer any more
        raise RepairRefused(error.message, at=error.at, hint=error.hint) from None
    nodes = set(fused.nodes.values())
    layers = tuple(layer.name for layer in treated.network.graph.layers if nodes & set(layer.nodes))
    return Treatment(treated, layers)


NO_BLOCK = "the network has no parallel linear branches"
FUSE_BRANCHES = Repair("fuse_branches", _apply)
