"""The figures of branches, by hand."""

import math

import pytest

from qdiag.core.measures.branches import Activations, BetaDistance, Branch, BranchBlock, Condition, NormFigures
from qdiag.core.measures.ranges import TensorRange

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
