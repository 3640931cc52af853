"""Which change of scheme is proposed, out of those of the whole network and those at the suspects' layers."""

from dataclasses import replace

import pytest

from qdiag.core.causes.ranking import Trial
from qdiag.core.causes.score import Recovery
from qdiag.core.measures.task import Interval
from qdiag.rank.way_around import way_around
from tests.diagnosis_parts import score

LAYERS = ("stem", "dw0", "dw1", "head")


def change(repair: str, layers: tuple[str, ...], right: int, points: float, decibels: float) -> Trial:
    """Of 500 samples the float network has 382 right; `points` of top-1 came back."""
    known = Interval(points - 1.0, points + 1.0)
    recovery = Recovery(decibels, Interval(decibels - 0.5, decibels + 0.5), points, known)
    after = score(20.0, right, right)
    return Trial(repair, layers, after=after, recovery=recovery, settings=("weights.granularity=per_channel",))


WHOLE = change("per_channel_weights", LAYERS, 381, 67.0, 33.9)
PART = change("per_channel_weights", ("dw0",), 382, 67.2, 30.6)


def test_the_same_change_at_fewer_layers_that_recovers_as_much_is_enough() -> None:
    assert way_around([WHOLE], [PART]) is PART
    larger = replace(PART, layers=("dw0", "dw1"))
    assert way_around([WHOLE], [larger, PART]) is PART and way_around([WHOLE], [larger]) is larger


@pytest.mark.parametrize(
    "part",
    [
        change("per_channel_weights", ("dw0",), 360, 62.8, 20.0),
        change("keep_float", ("dw0",), 381, 67.0, 33.9),
        change("per_channel_weights", LAYERS, 381, 67.0, 33.9),
    ],
    ids=["recovers less", "another change", "no fewer layers"],
)
def test_the_whole_network_is_preferred_otherwise(part: Trial) -> None:
    assert way_around([WHOLE], [part]) is WHOLE


def test_another_change_at_some_layers_has_to_recover_more_than_a_little() -> None:
    better = change("keep_float", ("dw0",), 382, 69.0, 33.9)
    assert way_around([WHOLE], [better]) is better
    assert way_around([], [PART]) is PART and way_around([WHOLE], []) is WHOLE and way_around([], []) is None


def test_without_a_task_a_decibel_decides() -> None:
    def in_decibels(trial: Trial, decibels: float) -> Trial:
        assert trial.recovery is not None
        known = Recovery(decibels, Interval(decibels - 0.5, decibels + 0.5))
        return replace(trial, recovery=known, after=score(decibels, None, 400))

    whole = in_decibels(WHOLE, 33.9)
    assert way_around([whole], [in_decibels(PART, 33.1)]).layers == ("dw0",)  # type: ignore[union-attr]
    assert way_around([whole], [in_decibels(PART, 32.5)]) is whole


def test_what_leaves_more_harm_is_not_enough() -> None:
    """One point less is small, but here it is what passes the limit."""
    worse = replace(PART, after=score(20.0, 360, 360))
    assert way_around([WHOLE], [worse]) is WHOLE
