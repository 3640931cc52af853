"""The figures of branches, by hand."""

import math

import pytest

from qdiag.core.measures.branches import Activations, BetaDistance, Branch, BranchBlock, Condition, NormFigures
from qdiag.core.measures.ranges import TensorRange
from tests.measurements import sums

_RANGE = TensorRange(2, 2, 0, -1.0, 1.0, 0.0, 1.0, 1.0, 0.0)


def _branch(name: str, variance: tuple[float, ...]) -> Branch:
    seen = Activations(_RANGE, (0.0,) * len(variance), variance)
    return Branch(name, "1x1", ("conv2d",), (1, 1), None, (0.0, 0.0), _RANGE, _RANGE, (1.0, 1.0), activations=seen)


def test_the_gain_of_a_norm() -> None:
    norm = NormFigures("bn", gain=(1.0, -5.0, 1.0), beta=(0.0,) * 3, variance=(1.0,) * 3, eps=1e-5)

    assert (norm.gain_max_abs, norm.gain_range, norm.widest_channel) == (5.0, 6.0, 1)
    assert norm.gain_std == pytest.approx(math.sqrt(8.0))


def test_branches_that_rise_and_fall_together_inflate_the_variance_of_their_sum() -> None:
    branches = (_branch("a", (1.0, 3.0)), _branch("b", (1.0, 1.0)))
    block = BranchBlock("b", "x", "b.add", branches, sum=Activations(_RANGE, (0.0, 0.0), (4.0, 8.0)))

    assert block.variance_inflation == pytest.approx(6.0 / 3.0)
    assert block.branch("b").activations == Activations(_RANGE, (0.0, 0.0), (1.0, 1.0))
    with pytest.raises(KeyError):
        block.branch("c")


@pytest.mark.parametrize(("sqnr_db", "holds"), [(20.0, True), (19.9, False), (math.inf, True), (math.nan, None)])
def test_a_condition_holds_from_its_limit_on(sqnr_db: float, holds: bool | None) -> None:
    assert Condition(sqnr_db).holds is holds


def test_beta_is_aligned_within_half_of_what_the_lemma_says() -> None:
    assert BetaDistance("a", 0.5, 1.0).is_aligned
    assert not BetaDistance("a", 0.51, 1.0).is_aligned


@pytest.mark.parametrize(
    ("before_db", "after_db", "alone_db", "loses", "makes"),
    [
        (24.0, 15.0, 15.5, True, True),
        (24.0, 15.0, 30.0, True, False),
        (24.0, 21.1, 21.1, False, False),  # less than half a bit
        (24.0, 20.9, 20.9, True, True),
        (50.0, 30.1, 30.1, False, False),  # enough is left
        (50.0, 29.9, 29.9, True, True),
        (15.0, 24.0, 24.0, False, False),  # fusion helps
        (math.inf, 20.0, 20.0, True, True),
    ],
)
def test_a_loss_by_fusion_counts_from_half_a_bit_below_thirty_decibels(
    before_db: float, after_db: float, alone_db: float, loses: bool, makes: bool
) -> None:
    block = BranchBlock("b", "x", "b.add", (), before=sums(before_db), after=sums(after_db), alone=sums(alone_db))
    assert (block.has_fusion_loss, block.makes_fusion_loss, block.is_broken) == (loses, makes, makes)
    assert not BranchBlock("b", "x", "b.add", (), before=sums(before_db)).has_fusion_loss
