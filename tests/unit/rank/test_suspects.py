"""Findings at the same places become one suspect."""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.rank.bench import spared_channels
from qdiag.rank.suspects import suspects_of


def site(layer: str, *channels: int) -> FindingSite:
    return FindingSite(layer, channels, (Evidence("x", 1.0),))


def finding(code: str, *sites: FindingSite, repairs: tuple[str, ...] = ()) -> Finding:
    return Finding(code, sites, repairs)


def test_the_most_specific_finding_names_the_cause_and_takes_the_others_repairs() -> None:
    wide = finding("QD101", site("dw", 3), repairs=("clip_weights", "equalize"))
    dead = finding("QD301", site("dw", 3), repairs=("reset_variance_mean", "clip_weights"))
    (suspect,) = suspects_of([wide, dead])
    assert suspect.code == "QD301"
    assert suspect.repairs == ["reset_variance_mean", "clip_weights", "equalize"]
    named, other = suspect.findings()
    assert (named.code, other.code, other.sites) == ("QD301", "QD101", wide.sites)


def test_channels_that_nobody_else_claims_stay_with_their_finding() -> None:
    first, second = suspects_of([finding("QD101", site("dw", 3, 5)), finding("QD301", site("dw", 3))])
    assert (first.code, first.sites[0].channels) == ("QD301", (3,))
    assert (second.code, second.sites[0].channels) == ("QD101", (5,))


def test_other_layers_and_other_places_are_other_suspects() -> None:
    found = suspects_of(
        [
            finding("QD301", site("a", 1)),
            finding("QD101", site("b", 1)),
            finding("QD201", site("a")),
            finding("QD601", site("a")),
        ]
    )
    assert sorted(s.code for s in found) == ["QD101", "QD201", "QD301", "QD601"]


def test_a_finding_on_the_whole_layer_joins_whoever_is_there() -> None:
    (suspect,) = suspects_of([finding("QD106", site("a")), finding("QD302", site("a", 7))])
    assert suspect.code == "QD302" and list(suspect.absorbed) == ["QD106"]


def test_victims_of_a_wide_channel_are_no_suspects_of_their_own() -> None:
    (suspect,) = suspects_of([finding("QD103", site("a", 0, 1, 2)), finding("QD301", site("a", 7))])
    assert suspect.code == "QD301"
    (alone,) = suspects_of([finding("QD103", site("a", 0, 1, 2))])
    assert alone.code == "QD103"


def test_the_first_layer_as_such_says_least() -> None:
    (suspect,) = suspects_of([finding("QD405", site("conv1")), finding("QD203", site("conv1"))])
    assert suspect.code == "QD203"


def test_a_repair_spares_the_channels_of_other_suspects_but_never_its_own() -> None:
    dead, wide = suspects_of([finding("QD301", site("dw", 3)), finding("QD101", site("dw", 5), site("pw", 1))])
    assert spared_channels([dead, wide], wide) == {"dw": frozenset({3})}
    assert spared_channels([dead, wide], dead) == {"dw": frozenset({5}), "pw": frozenset({1})}
