"""QD408 and what follows it: each planted fault gives its own code; its healthy twin gives nothing."""

import math
from dataclasses import replace

import pytest

from qdiag.core.measures.branches import Activations, BetaAlignment, BetaDistance, Branch, BranchBlock, NormFigures
from qdiag.detectors import DetectionContext as Context
from qdiag.detectors.graph import branch_offset, branch_sum, identity_branch
from tests.contexts import CHANNELS, affine, even, healthy, planted, spread, sums, weights

QUIET = (0.25,) * CHANNELS


def with_identity(identity: tuple[float, ...], *, local_db: float = 18.0, granularity: str = "per_tensor") -> Context:
    """The body with these weights where an identity would be fused, and all others as in the healthy network."""
    weight = healthy().measurement.record("body").weight
    assert weight is not None
    record = {"local": sums(local_db), "weight": replace(weight, granularity=granularity)}
    fact = weights(tuple(map(max, identity, even())), identity_max_abs=identity, others_max_abs=even())
    return planted(healthy(), "body", record, {"weight": fact})


def changed(*channels: int, gain: float) -> tuple[float, ...]:
    return tuple(gain if c in channels else value for c, value in enumerate(QUIET))


def test_an_identity_beyond_all_other_weights_is_found_at_its_channels() -> None:
    found = identity_branch.find(with_identity(changed(3, 11, gain=692.0)))
    assert found is not None
    (site,) = found.sites
    assert (found.code, site.layer, site.channels) == ("QD408", "body", (3, 11))
    figures = {evidence.name: evidence.value for evidence in site.evidence}
    assert figures["identity_over_others"] == pytest.approx(692.0)
    assert figures["identity_max"] == 692.0
    assert figures["bits_left"] == pytest.approx(8 - 9.85, abs=0.05)


@pytest.mark.parametrize(
    ("context", "why"),
    [
        (with_identity(QUIET), "it is no larger than the others"),
        (with_identity(changed(3, gain=3.9)), "it is not four times as large"),
        (with_identity(changed(3, gain=5.0)), "the others have enough bits left"),
        (with_identity(changed(3, gain=692.0), local_db=30.0), "the layer loses nothing"),
        (with_identity(changed(3, gain=692.0), granularity="per_channel"), "only one channel has it"),
        (healthy(), "no identity can be fused into any layer"),
    ],
)
def test_a_healthy_twin_gives_nothing(context: Context, why: str) -> None:
    assert identity_branch.find(context) is None, why


def test_scales_of_their_own_do_not_help_where_most_channels_have_it() -> None:
    found = identity_branch.find(with_identity((30.0,) * CHANNELS, granularity="per_channel"))
    assert found is not None
    assert len(found.sites[0].channels) == CHANNELS
    assert found.sites[0].evidence[0].value == pytest.approx(40.0)


def activations(means: tuple[float, ...], variances: tuple[float, ...]) -> Activations:
    return Activations(spread(-6.0, 6.0), means, variances)


def block(
    variances: tuple[tuple[float, ...], ...],
    total: tuple[float, ...],
    *,
    mean: float = 0.0,
    distances: tuple[float, ...] = (),
    has_norm: bool = False,
) -> BranchBlock:
    """Branches with these variances per channel, and their sum with its own, ending in the layer `sum`."""
    branches = tuple(
        replace(
            Branch(f"b{i}", "kxk", ("conv2d",), (3, 3), None, (), None, None, ()),
            activations=activations((0.0,) * CHANNELS, variance),
        )
        for i, variance in enumerate(variances)
    )
    whole = activations((mean,) * CHANNELS, total)
    alignment = None
    if distances:
        found = tuple(BetaDistance(f"b{i}", distance, 0.0) for i, distance in enumerate(distances))
        alignment = BetaAlignment("identity", (-0.5,) * CHANNELS, found, 0.0)
    norm = NormFigures("bn", (1.0,), (0.0,), (1.0,), 1e-5) if has_norm else None
    return BranchBlock("block", "stem", "sum", branches, sum=whole, output=whole, alignment=alignment, norm=norm)


def with_block(found: BranchBlock, top: float = 6.0) -> Context:
    """The healthy network with this block, whose end is quantized over this range."""
    return replace(planted(healthy(), "sum", {"quantizer": affine(-top, top)}), blocks=(found,))


ALIKE = (1.0,) * CHANNELS
UNEQUAL = (2.0, *(1e-4,) * (CHANNELS - 1))


def test_a_sum_that_makes_channels_unequal_is_found_in_all_its_layers() -> None:
    found = branch_sum.find(with_block(block(((0.5,) * CHANNELS,) * 2, UNEQUAL)))
    assert found is not None
    assert (found.code, found.layers) == ("QD409", ("sum", "scaled", "gate", "body", "squeeze", "pool"))
    figures = {evidence.name: evidence.value for evidence in found.sites[0].evidence}
    assert figures["spread_added"] == pytest.approx(2e4)
    assert figures["inflation"] == pytest.approx(2.0)
    assert figures["channel_rounding"] == pytest.approx(10 * math.log10(12e-4 / (12 / 255) ** 2))


@pytest.mark.parametrize(
    ("context", "why"),
    [
        (with_block(block((ALIKE, ALIKE), (2.0,) * CHANNELS)), "all channels of the sum are alike"),
        (with_block(block((UNEQUAL, UNEQUAL), UNEQUAL)), "the branches are as unequal"),
        (with_block(block((ALIKE, ALIKE), UNEQUAL)), "the widest channel is no wider than branches apart make it"),
        (with_block(block(((0.5,) * CHANNELS,) * 2, UNEQUAL), top=0.01), "rounding leaves enough"),
        (with_block(block((ALIKE,), UNEQUAL)), "there is one branch"),
        (healthy(), "there is no block"),
    ],
)
def test_a_sum_like_its_branches_gives_nothing(context: Context, why: str) -> None:
    assert branch_sum.find(context) is None, why


def test_constants_that_do_not_cancel_are_found() -> None:
    found = branch_offset.find(with_block(block((ALIKE, ALIKE), ALIKE, mean=-300.0, distances=(9.0, 7.0)), top=310.0))
    assert found is not None
    assert (found.code, found.sites[0].layer) == ("QD410", "sum")
    assert [evidence.value for evidence in found.sites[0].evidence[:2]] == pytest.approx([300.0, 7.0])
    assert found.sites[0].evidence[2].value == pytest.approx(10 * math.log10(12 / (620 / 255) ** 2))


@pytest.mark.parametrize(
    ("context", "why"),
    [
        (with_block(block((ALIKE, ALIKE), ALIKE, mean=15.0, distances=(9.0, 7.0)), top=310.0), "the mean is near"),
        (with_block(block((ALIKE, ALIKE), ALIKE, mean=300.0, distances=(9.0, 0.5)), top=310.0), "one beta is aligned"),
        (with_block(block((ALIKE, ALIKE), ALIKE, mean=300.0, distances=(9.0, 7.0)), top=4.0), "rounding leaves enough"),
        (with_block(block((ALIKE, ALIKE), ALIKE, mean=300.0), top=310.0), "there is no identity"),
        (
            with_block(block((ALIKE, ALIKE), ALIKE, mean=300.0, distances=(9.0, 7.0), has_norm=True), top=310.0),
            "a BatchNorm follows the sum",
        ),
    ],
)
def test_constants_that_cancel_or_do_no_harm_give_nothing(context: Context, why: str) -> None:
    assert branch_offset.find(context) is None, why


def test_a_block_that_stays_in_float_gives_nothing() -> None:
    wide = block(((0.5,) * CHANNELS,) * 2, UNEQUAL, mean=300.0, distances=(9.0,))
    context = replace(planted(healthy(), "sum", {"quantizer": None}), blocks=(wide,))
    assert branch_sum.find(context) is None
    assert branch_offset.find(context) is None
