"""When inputs are doubted, and which other preprocessing is proposed."""

import math
from itertools import product

import pytest
from scipy import stats

from qdiag.core.measures.preprocessing import NormInput, PreprocessingCheck, PreprocessingTrial
from qdiag.core.measures.task import PairedCounts

FITS, OFF = NormInput("bn", 8, 0.2, 0.9), NormInput("bn", 8, 0.4, 0.04)


def trial(
    name: str, norm: NormInput | None = None, counts: tuple[int, int, int, int] | None = None
) -> PreprocessingTrial:
    return PreprocessingTrial((("preset", name),), norm, PairedCounts(*counts) if counts else None)


@pytest.mark.parametrize(
    ("shift", "ratio", "is_as_trained"),
    [
        (0.0, 1.0, True),
        (0.99, 1.0, True),
        (1.01, 1.0, False),
        (0.0, 2.8, True),
        (0.0, 2.9, False),
        (0.0, 1 / 2.8, True),
        (0.0, 1 / 2.9, False),
        (0.0, 0.0, False),
        (math.inf, 1.0, False),
        (math.nan, math.nan, True),
    ],
)
def test_limits(shift: float, ratio: float, is_as_trained: bool) -> None:
    assert NormInput("bn", 8, shift, ratio).is_as_trained is is_as_trained


def test_healthy_inputs_are_not_doubted() -> None:
    assert not PreprocessingCheck(64, (FITS,)).is_doubtful
    assert not PreprocessingCheck(64, (FITS,), 9, 64).is_doubtful, "poor accuracy alone may have any reason"
    assert not PreprocessingCheck(0, (), 9, 64, (trial("tf", None, (4, 6, 5, 49)),)).is_doubtful, (
        "no better than chance"
    )
    well = PreprocessingCheck(64, (OFF,), 60, 64, (trial("tf", OFF, (58, 1, 2, 3)),))
    assert not well.is_doubtful, "the network bears it, and nothing fits better"


def test_statistics_alone_are_enough() -> None:
    assert PreprocessingCheck(64, (OFF,)).is_doubtful
    assert PreprocessingCheck(64, (OFF,)).better is None
    fits = trial("tf", FITS)
    found = PreprocessingCheck(64, (OFF,), trials=(trial("none", OFF), trial("caffe"), fits))
    assert found.is_doubtful and found.better == fits


def test_a_fitting_preprocessing_that_is_right_less_often_is_not_proposed() -> None:
    worse = PreprocessingCheck(64, (OFF,), 60, 64, (trial("tf", FITS, (30, 0, 30, 4)),))
    assert worse.better is None and not worse.is_doubtful


def test_accuracy_alone_is_enough() -> None:
    better = trial("tf", None, (9, 50, 0, 5))
    found = PreprocessingCheck(0, (), 9, 64, (trial("none", None, (5, 0, 4, 55)), better))
    assert found.better == better and found.is_doubtful


def test_of_equally_good_ones_the_nearest_to_the_statistics() -> None:
    near, far = (
        trial("cifar10", FITS, (9, 49, 0, 6)),
        trial("imagenet-stats", NormInput("bn", 8, 0.6, 1), (9, 50, 0, 5)),
    )
    assert PreprocessingCheck(64, (OFF,), 9, 64, (far, near)).better == near
    weak = trial("none", NormInput("bn", 8, 0.0, 1), (9, 30, 0, 25))
    assert PreprocessingCheck(64, (OFF,), 9, 64, (far, weak)).better == far, "5 pp and more are no tie"


def test_better_beyond_chance_is_the_sign_test() -> None:
    for won, lost in product(range(0, 25, 3), range(0, 9, 2)):
        one = trial("tf", FITS, (20, won, lost, 64 - 20 - won - lost))
        trials = (one, trial("none", FITS, (20, 0, lost, 44 - lost)))
        found = PreprocessingCheck(64, (FITS,), 20 + lost, 64, trials).better
        chance = stats.binomtest(won, won + lost, 0.5, alternative="greater").pvalue if won + lost else 1.0
        assert (found == one) is bool(chance * 2 < 0.01 and won - lost >= 0.05 * 64)


def test_what_makes_wrong_answers_wrong_in_another_way_is_no_repair() -> None:
    guessing = (0, 16, 0, 48)  # labels that are one off: never right, and right by chance when the answers break
    assert PreprocessingCheck(0, (), 0, 64, (trial("tf", None, guessing),)).better is None
    assert PreprocessingCheck(64, (FITS,), 0, 64, (trial("tf", OFF, guessing),)).better is None
    assert PreprocessingCheck(64, (FITS,), 0, 64, (trial("tf", FITS, guessing),)).better is not None
    farther = NormInput("bn", 8, 0.4, 0.2)
    assert PreprocessingCheck(64, (farther,), 0, 64, (trial("tf", OFF, guessing),)).better is None
    assert PreprocessingCheck(64, (OFF,), 0, 64, (trial("tf", farther, guessing),)).better is not None
