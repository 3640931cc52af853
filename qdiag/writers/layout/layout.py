"""A graph as a drawing: boxes in rows, lines from top to bottom."""

from collections.abc import Sequence
from dataclasses import dataclass

from qdiag.writers.layout.order import ordered_rows
from qdiag.writers.layout.place import placed
from qdiag.writers.layout.ranks import Edge, rank_rows

GAP = 24.0
BOX_HEIGHT = 38.0
ROW_HEIGHT = 62.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class GraphLayout:
    """Where everything stands, in pixels of an unscaled drawing, the origin at its upper left.

    Attributes:
        centres: of each node. routes: the points that each edge passes, from box to box.
        width, height: of the whole drawing.
    """

    centres: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def lay_out(widths: Sequence[float], edges: Sequence[Edge]) -> GraphLayout:
    """A drawing of nodes 0, 1, ... of these widths, which come in an order in which every edge leads forward.

    Raises:
        ValueError: an edge leads backward or nowhere.
    """
    graph = rank_rows(len(widths), edges)
    order = ordered_rows(graph)
    across = placed(graph, order, widths, GAP)
    left = min((across[node] - width / 2.0 for node, width in enumerate(widths)), default=0.0)
    left = min([left, *across[graph.count :]])
    down = [0.0] * len(across)
    for rank, row in enumerate(order):
        for node in row:
            down[node] = rank * ROW_HEIGHT + BOX_HEIGHT / 2.0
    places = [(x - left, y) for x, y in zip(across, down, strict=True)]
    half = BOX_HEIGHT / 2.0
    routes = []
    for chain in graph.chains:
        (x, y), (end_x, end_y) = places[chain[0]], places[chain[-1]]
        routes.append(((x, y + half), *(places[node] for node in chain[1:-1]), (end_x, end_y - half)))
    right = max((places[node][0] + width / 2.0 for node, width in enumerate(widths)), default=0.0)
    return GraphLayout(
        centres=tuple(places[: graph.count]),
        routes=tuple(routes),
        width=max([right, *(x for x, _ in places[graph.count :])]),
        height=max(len(order) - 1, 0) * ROW_HEIGHT + BOX_HEIGHT,
    )
