"""Drawings of graphs: nothing overlaps, every line leads down, and a row is the nearest one that leaves room."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from qdiag.writers.layout.layout import BOX_HEIGHT, GAP, ROW_HEIGHT, lay_out
from qdiag.writers.layout.order import crossings, ordered_rows
from qdiag.writers.layout.place import spread
from qdiag.writers.layout.ranks import Edge, rank_rows


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[Edge]]:
    count = draw(st.integers(1, 24))
    pairs = [(i, j) for j in range(count) for i in range(j)]
    return count, draw(st.lists(st.sampled_from(pairs), unique=True, max_size=40)) if pairs else []


@given(graphs(), st.randoms(use_true_random=False))
def test_boxes_do_not_overlap_and_lines_lead_down(graph: tuple[int, list[Edge]], rng: random.Random) -> None:
    count, edges = graph
    widths = [rng.uniform(40.0, 200.0) for _ in range(count)]
    drawn = lay_out(widths, edges)
    for i, (x, y) in enumerate(drawn.centres):
        assert x - widths[i] / 2 >= -1e-6 and x + widths[i] / 2 <= drawn.width + 1e-6
        assert y - BOX_HEIGHT / 2 >= 0.0 and y + BOX_HEIGHT / 2 <= drawn.height
        for j, (other_x, other_y) in enumerate(drawn.centres[:i]):
            if other_y == y:
                assert abs(other_x - x) >= (widths[i] + widths[j]) / 2 + GAP - 1e-6
    for (start, end), route in zip(edges, drawn.routes, strict=True):
        (start_x, start_y), (end_x, end_y) = drawn.centres[start], drawn.centres[end]
        assert route[0] == (start_x, start_y + BOX_HEIGHT / 2)
        assert route[-1] == (end_x, end_y - BOX_HEIGHT / 2)
        downs = [y for _, y in route]
        assert downs == sorted(downs) and len(set(downs)) == len(downs)


@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(0.5, 20), st.floats(1, 80)), min_size=1, max_size=20))
def test_a_row_is_the_isotonic_regression_of_what_is_wanted(nodes: list[tuple[float, float, float]]) -> None:
    wanted, weights, rooms = map(list, zip(*nodes, strict=True))
    offsets = np.concatenate([[0.0], np.cumsum(rooms[:-1])])
    expected = (
        IsotonicRegression().fit_transform(range(len(nodes)), np.array(wanted) - offsets, sample_weight=weights)
        + offsets
    )
    np.testing.assert_allclose(spread(wanted, weights, rooms[:-1]), expected, atol=1e-6)


def test_a_chain_is_straight_and_stays_so_beside_skips() -> None:
    chain = [(i, i + 1) for i in range(29)]
    plain = lay_out([100.0] * 30, chain)
    assert {round(x) for x, _ in plain.centres} == {50}
    assert plain.height == 29 * ROW_HEIGHT + BOX_HEIGHT
    residual = lay_out([100.0] * 30, [*chain, *((i, i + 3) for i in range(0, 26, 3))])
    assert residual.width < 100 + 2 * GAP + 1


def test_lines_that_need_not_cross_do_not() -> None:
    edges = [(0, 5), (1, 4), (2, 3)]
    rows = rank_rows(6, edges)
    assert crossings(rows, rows.rows) == 3
    assert crossings(rows, ordered_rows(rows)) == 0


def test_crossings_are_counted_as_pairs_of_lines() -> None:
    rng = random.Random(4)
    edges = [(i, j) for i in range(7) for j in range(7, 14) if rng.random() < 0.5]
    rows = rank_rows(14, edges)
    top, bottom = rows.rows[0], rows.rows[1]
    lines = [(top.index(i), bottom.index(j)) for i, j in edges if i in top and j in bottom]
    pairs = sum((a - c) * (b - d) < 0 for a, b in lines for c, d in lines) // 2
    assert crossings(rows, (top, bottom)) == pairs > 0


def test_a_value_with_many_readers_is_one_line() -> None:
    rows = rank_rows(6, [*((i, i + 1) for i in range(5)), *((0, j) for j in range(2, 6))])
    assert sum(map(len, rows.rows)) == 6 + 4


def test_a_constant_stands_above_its_reader() -> None:
    drawn = lay_out([50.0] * 5, [(0, 1), (1, 2), (3, 4), (2, 4)])
    assert drawn.centres[3][1] == drawn.centres[4][1] - ROW_HEIGHT


def test_an_edge_that_leads_back_is_an_error() -> None:
    with pytest.raises(ValueError, match="from 1 to 0"):
        lay_out([1.0, 1.0], [(1, 0)])


def test_an_empty_graph_is_an_empty_drawing() -> None:
    drawn = lay_out([], [])
    assert drawn.centres == () and math.isfinite(drawn.width)
