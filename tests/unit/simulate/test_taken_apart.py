"""Arguments of an operation without their nesting, and back."""

import torch

from qdiag.simulate.passes.lanes import Lanes, lanes_in, taken_apart

X, Y = Lanes([torch.zeros(1), torch.ones(1)]), Lanes([torch.ones(2), torch.ones(2)])


def test_what_holds_lanes_is_found_wherever_they_are() -> None:
    for args, kwargs, count in (
        ((X, [1, 1], None, 2.0, True), {}, 1),
        (([X, Y], 1), {}, 2),
        ((X, (Y, 3)), {}, 2),
        ((X,), {"other": Y, "alpha": 2}, 2),
        (([None, X], [1, 2]), {}, 1),
        (({"a": X},), {}, 1),
        ((3, [1, 2]), {}, 0),
    ):
        leaves, put_together = taken_apart(args, kwargs)
        assert sum(isinstance(leaf, Lanes) for leaf in leaves) == count
        assert put_together(leaves) == (args, kwargs)
        assert len(lanes_in([args, kwargs])) == count


def test_others_come_in_the_place_of_lanes() -> None:
    leaves, put_together = taken_apart((X, [1, 1]), {})
    assert put_together([7 if leaf is X else leaf for leaf in leaves]) == ((7, [1, 1]), {})
    leaves, put_together = taken_apart(([X, 2],), {"k": Y})
    assert put_together([7 if isinstance(leaf, Lanes) else leaf for leaf in leaves]) == (([7, 2],), {"k": 7})
    assert lanes_in([X, torch.zeros(1), (Y, 1)]) == [X, Y]
