"""Rows of a layered drawing: each node below all that it reads, and a placeholder in each row that an edge crosses.

The edges that leave a node share their placeholders: a value that many read is one line with many ends.

Source: Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures, IEEE Transactions
on Systems, Man, and Cybernetics 11 (1981); the first of its steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Edge = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rows:
    """A graph all of whose edges join neighbouring rows.

    Attributes:
        rows: nodes by row, from the top; numbers from `count` on are placeholders.
        count: how many nodes are real.
        above, below: neighbours of each node, placeholders included.
        chains: of each edge, the nodes that it passes, both ends included.
    """

    rows: tuple[tuple[int, ...], ...]
    count: int
    above: tuple[tuple[int, ...], ...]
    below: tuple[tuple[int, ...], ...]
    chains: tuple[tuple[int, ...], ...]


def rank_rows(count: int, edges: Sequence[Edge]) -> Rows:
    """The rows of nodes 0 to `count - 1`, which come in an order in which every edge leads forward.

    Raises:
        ValueError: an edge leads backward or nowhere.
    """
    ranks = _ranks(count, edges)
    rows: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for node, rank in enumerate(ranks):
        rows[rank].append(node)
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    trunks: list[list[int]] = [[] for _ in range(count)]
    chains = []
    for start, end in edges:
        trunk = trunks[start]
        for rank in range(ranks[start] + 1 + len(trunk), ranks[end]):
            upper, new = trunk[-1] if trunk else start, len(above)
            rows[rank].append(new)
            trunk.append(new)
            above.append([upper])
            below.append([])
            below[upper].append(new)
        chain = [start, *trunk[: ranks[end] - ranks[start] - 1], end]
        below[chain[-2]].append(end)
        above[end].append(chain[-2])
        chains.append(tuple(chain))
    return Rows(tuple(map(tuple, rows)), count, tuple(map(tuple, above)), tuple(map(tuple, below)), tuple(chains))


def _ranks(count: int, edges: Sequence[Edge]) -> list[int]:
    """The longest path that leads to each node; one without a path stands right above its first reader."""
    readers: list[list[int]] = [[] for _ in range(count)]
    ranks, has_source = [0] * count, [False] * count
    for start, end in sorted(edges, key=lambda edge: edge[1]):
        if not 0 <= start < end < count:
            raise ValueError(f"the edge from {start} to {end} does not lead forward")
        ranks[end] = max(ranks[end], ranks[start] + 1)
        has_source[end] = True
        readers[start].append(end)
    for node in range(count):
        if not has_source[node] and readers[node]:
            ranks[node] = min(ranks[reader] for reader in readers[node]) - 1
    return ranks
