"""Operations of a graph that draw random numbers."""

import torch
from torch._ops import OpOverload

from qdiag.capture.ops import operation_name
from qdiag.capture.places import place_of
from qdiag.capture.program import Program


def random_places(program: Program) -> tuple[str, ...]:
    """`dropout (net.py:12)` for each operation that draws random numbers, in order."""
    found = []
    for node in program.graph.nodes:
        if isinstance(node.target, OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags:
            place = place_of(node)
            found.append(f"{operation_name(node)}{f' ({place})' if place else ''}")
    return tuple(dict.fromkeys(found))
