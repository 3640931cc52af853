"""QD408 and what follows it: each planted fault gives its own code; its healthy twin gives nothing."""

from dataclasses import replace

import pytest

from qdiag.detectors import DetectionContext
from qdiag.detectors.base import DetectionContext as Context
from qdiag.detectors.graph import identity_branch
from tests.contexts import CHANNELS, even, healthy, planted, sums, weights

QUIET = (0.25,) * CHANNELS


def with_identity(
    identity: tuple[float, ...], *, local_db: float = 18.0, granularity: str = "per_tensor"
) -> DetectionContext:
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
