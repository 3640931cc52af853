"""Where the nodes of a row stand: as near to their neighbours as the room between them allows.

A row is an isotonic regression: with the room that must lie between nodes taken off, wanted places have to be put into
ascending order at the least squared distance, which pooling adjacent violators solves exactly.

Source: Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions (1972), section 1.2.
"""

from collections.abc import Sequence
from itertools import pairwise

from qdiag.writers.layout.ranks import Rows

_SWEEPS = 16
_STRAIGHT = 16.0
"""How much harder than a bend two pull that belong in one column: layers of a chain, and a long line."""


def placed(graph: Rows, order: Sequence[Sequence[int]], widths: Sequence[float], gap: float) -> list[float]:
    """The centre of every node across the drawing, placeholders included.

    Args:
        widths: of real nodes; placeholders have none.
        gap: between two nodes of a row.
    """

    def width(node: int) -> float:
        return widths[node] if node < graph.count else 0.0

    across = [0.0] * len(graph.above)
    for row in order:
        at = 0.0
        for node in row:
            across[node] = at + width(node) / 2.0
            at += width(node) + gap
    for sweep in range(_SWEEPS):
        is_down = sweep % 2 == 0
        neighbours = graph.above if is_down else graph.below
        for row in order if is_down else reversed(order):
            wanted, weights = [], []
            for node in row:
                pulls = [_STRAIGHT if _is_straight(graph, node, other) else 1.0 for other in neighbours[node]]
                total = sum(pulls)
                held = sum(pull * across[other] for pull, other in zip(pulls, neighbours[node], strict=True))
                wanted.append(held / total if total else across[node])
                weights.append(total or 1.0)
            rooms = [(width(a) + width(b)) / 2.0 + gap for a, b in pairwise(row)]
            for node, place in zip(row, spread(wanted, weights, rooms), strict=True):
                across[node] = place
    return across


def spread(wanted: Sequence[float], weights: Sequence[float], rooms: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones, by weighted squares, with at least `rooms` between neighbours."""
    offsets = [0.0]
    for room in rooms:
        offsets.append(offsets[-1] + room)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for place, weight, offset in zip(wanted, weights, offsets, strict=False):
        mean, total, size = place - offset, weight, 1
        while blocks and blocks[-1][0] > mean:
            other, other_weight, other_size = blocks.pop()
            mean = (mean * total + other * other_weight) / (total + other_weight)
            total, size = total + other_weight, size + other_size
        blocks.append((mean, total, size))
    means = [mean for mean, _, size in blocks for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _is_straight(graph: Rows, node: int, other: int) -> bool:
    """Both are layers, or both are pieces of one long line."""
    return (node < graph.count) == (other < graph.count)
