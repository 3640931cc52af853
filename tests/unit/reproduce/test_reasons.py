"""Reasons are made of the results: each is given where its figures speak for it, and not where they do not."""

from dataclasses import replace

import pytest

from qdiag.core.reproductions.expectations import Expectation, Judged, judge
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.core.reproductions.seeds import Curve, Measured, Place, SeedResult
from qdiag.reading.words.reproductions.sentences import reason_words
from qdiag.reproduce.experiments import EXPERIMENTS
from qdiag.reproduce.experiments.bnn import float_percent
from qdiag.reproduce.reasons import spread, unfinished
from qdiag.reproduce.run import RunRequest, run_experiment
from qdiag.simulate.session import open_session
from qdiag.zoo import build
from tests.unit.reproduce.sets import SMALL, stripes

LEFT, RIGHT = Place("qat4c", "top1"), Place("ptq4c", "top1")


def seed(number: int, left: float, right: float, *, drop: float = 0.5, curve: tuple[float, ...] = ()) -> SeedResult:
    measured = (Measured(LEFT, left), Measured(RIGHT, right), Measured(Place("ptq4c", "drop"), drop))
    return SeedResult(number, measured, (Curve("training", "qat4c", curve),) if curve else ())


@pytest.fixture(scope="module")
def empty() -> Reproduction:
    """Of an experiment that measured nothing."""
    nothing = replace(SMALL, run_seed=lambda lab: lab.record("float", "top1", 90.0), rows=("qat4c", "ptq4c"))
    with open_session() as session:
        return run_experiment(session, nothing, stripes(), RunRequest(seeds=1, epochs=1))


def judged(seeds: list[SeedResult]) -> Judged:
    return judge(Expectation("recovers_4c", "more", LEFT, RIGHT, 1.0), seeds)


def test_where_little_was_lost_little_can_be_given_back(empty: Reproduction) -> None:
    seeds = [seed(0, 97.0, 96.6), seed(1, 96.0, 95.6)]
    result, one = replace(empty, seeds=tuple(seeds)), judged(seeds)
    found = EXPERIMENTS["qat"].reasons(result, one)
    assert [reason.key for reason in found] == ["nothing_lost"]
    explained = replace(one, reasons=found)
    assert reason_words(result, explained).startswith("The small network loses only 0.5 points there")
    harmed = replace(empty, seeds=tuple(seed(i, 80.0, 80.0, drop=17.0) for i in range(2)))
    assert EXPERIMENTS["qat"].reasons(harmed, judged(list(harmed.seeds))) == ()


def test_seeds_that_differ_decide_nothing(empty: Reproduction) -> None:
    seeds = [seed(0, 97.0, 80.0), seed(1, 79.0, 80.0)]
    one = judged(seeds)
    assert one.outcome == "undecided"
    (reason,) = spread(replace(empty, seeds=tuple(seeds)), one)
    assert reason.figures["margin_pp"] == pytest.approx(one.margin) and reason.figures["seeds"] == 2
    assert reason.figures["image_pp"] == pytest.approx(100.0 / 24)
    assert spread(empty, replace(one, outcome="fails")) == ()


def test_a_loss_that_still_fell_was_not_done(empty: Reproduction) -> None:
    falling, flat = (2.0, 1.5, 1.2, 1.0, 0.9, 0.8, 0.7, 0.6), (2.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.49)
    found = unfinished(replace(empty, seeds=(seed(0, 1.0, 1.0, curve=falling),)), "training", "qat4c")
    assert [(reason.key, reason.figures) for reason in found] == [
        ("unfinished", {"before": 0.8, "last": 0.6, "epochs": 8})
    ]
    assert unfinished(replace(empty, seeds=(seed(0, 1.0, 1.0, curve=flat),)), "training", "qat4c") == ()
    assert unfinished(empty, "training", "qat4c") == ()


def test_a_network_that_guesses_decides_nothing() -> None:
    def guess(top1: float) -> Reproduction:
        lucky = replace(SMALL, run_seed=lambda lab: lab.record("float", "top1", top1), level=Place("float", "top1"))
        with open_session() as session:
            return run_experiment(session, lucky, stripes(), RunRequest(seeds=2, epochs=1))

    assert {one.outcome for one in guess(40.0).judged} == {"undecided"}
    assert {one.reasons[0].key for one in guess(40.0).judged} == {"chance"}
    assert guess(70.0).judged[0].outcome == "holds"  # guessing gives a third


def test_what_stays_in_float_is_counted() -> None:
    """The published network written out: weights, a bias and four values of a BatchNorm for each channel."""
    channels = (3, 192, 160, 96, 192, 192, 192, 192, 192, 10)
    kernels = (5, 1, 1, 5, 1, 1, 3, 1, 1)
    sizes = [a * b * k * k for a, b, k in zip(channels, channels[1:], kernels, strict=False)]
    others = 5 * sum(channels[1:])
    share = (sizes[0] + sizes[-1] + others) / (sum(sizes) + others)
    assert float_percent(build("nin")) == pytest.approx(100.0 * share)
