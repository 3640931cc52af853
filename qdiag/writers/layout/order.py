"""The order within rows, so that few lines cross: each node moves to the mean place of its neighbours, row by row.

Source: the barycentre method of Sugiyama, Tagawa and Toda (1981); crossings are counted as inversions.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise

from qdiag.writers.layout.ranks import Rows

_SWEEPS = 12

Order = list[list[int]]


def ordered_rows(graph: Rows) -> Order:
    """The rows in the best order that a few sweeps down and up found."""
    order = [list(row) for row in graph.rows]
    best, least = [list(row) for row in order], crossings(graph, order)
    for sweep in range(_SWEEPS):
        if least == 0:
            break
        if sweep % 2 == 0:
            for i in range(1, len(order)):
                order[i] = _sorted(order[i], order[i - 1], graph.above)
        else:
            for i in range(len(order) - 2, -1, -1):
                order[i] = _sorted(order[i], order[i + 1], graph.below)
        count = crossings(graph, order)
        if count < least:
            best, least = [list(row) for row in order], count
    return best


def crossings(graph: Rows, order: Sequence[Sequence[int]]) -> int:
    """How many pairs of lines cross."""
    return sum(_between(upper, lower, graph.below) for upper, lower in pairwise(order))


def _between(upper: Sequence[int], lower: Sequence[int], below: Sequence[Sequence[int]]) -> int:
    place = {node: i for i, node in enumerate(lower)}
    seen: list[int] = []
    count = 0
    for node in upper:
        ends = sorted(place[end] for end in below[node])
        count += sum(len(seen) - bisect_right(seen, end) for end in ends)
        for end in ends:
            insort(seen, end)
    return count


def _sorted(row: Sequence[int], fixed: Sequence[int], neighbours: Sequence[Sequence[int]]) -> list[int]:
    """The row by the mean place of what its nodes are joined to; a node that is joined to nothing keeps its place."""
    place = {node: i for i, node in enumerate(fixed)}

    def mean(i: int) -> float:
        joined = [place[other] for other in neighbours[row[i]]]
        return sum(joined) / len(joined) if joined else float(i)

    return [row[i] for i in sorted(range(len(row)), key=mean)]
