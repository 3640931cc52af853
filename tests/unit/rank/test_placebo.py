"""Where a placebo may be: never where the finding is, and seldom beside it."""

import pytest
import torch
from torch import nn

from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.rank.placebo import placebo_sites, shares_layers
from qdiag.simulate.case import Case
from tests.cases import open_test_case


@pytest.fixture(scope="module")
def case() -> Case:
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for _ in range(6) for layer in (nn.Conv2d(4, 4, 1), nn.ReLU()))).eval()
    return open_test_case(model, torch.rand(4, 4, 6, 6))


def drawn(case: Case, repair: str, sites: list[FindingSite], taken: set[str], seed: int) -> list[str]:
    found = placebo_sites(TRAITS[repair], sites, "weight", case, taken=frozenset(taken), seed=seed)
    return [site.layer for site in found]


@pytest.mark.parametrize("seed", range(8))
def test_neighbours_are_left_out_while_others_are_free(case: Case, seed: int) -> None:
    names = drawn(case, "clip_weights", [FindingSite("4")], {"4"}, seed)
    assert len(names) == 1
    assert names[0] in {"0", "8", "10"}, "2 feeds layer 4, and 6 reads it"


def test_neighbours_serve_where_nothing_else_is_left(case: Case) -> None:
    taken = {"0", "4", "6", "10"}
    assert set(drawn(case, "clip_weights", [FindingSite(name) for name in taken], taken, 0)) == {"2", "8"}


def test_nothing_is_left_when_all_is_taken(case: Case) -> None:
    assert drawn(case, "clip_weights", [FindingSite("0")], {"0", "2", "4", "6", "8", "10"}, 0) == []


def test_single_channels_are_answered_in_the_same_layer(case: Case) -> None:
    (site,) = placebo_sites(
        TRAITS["reset_variance_mean"], [FindingSite("4", (1, 2))], "weight", case, taken=frozenset({"4"}), seed=0
    )
    assert site.layer == "4"
    assert set(site.channels) <= {0, 3}
    assert not shares_layers(TRAITS["reset_variance_mean"], ("4",), ("4",))


def test_a_repair_of_the_whole_network_has_no_placebo() -> None:
    assert shares_layers(TRAITS["wide_accumulator"], ("0", "2"), ("0", "2"))
    assert shares_layers(TRAITS["activations_16bit"], ("2", "4"), ("4", "6"))
    assert not shares_layers(TRAITS["activations_16bit"], ("2", "4"), ("8", "10"))
